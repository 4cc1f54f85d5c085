"""`oet sbi` has the SBInstances, which record what was executed of which SBDefinition."""

from __future__ import annotations

from typing import Annotated

import typer

from ska_oso_oet.cli import tables
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.scheduling_blocks import DataDir, Local, print_document, store_of
from ska_oso_oet.cli.session import Session, with_session
from ska_oso_oet.oda.desk import MAX_LIMIT, SBInstancesQuery

app = typer.Typer(no_args_is_help=True, help="Look at what was executed of Scheduling Blocks.")


@app.command("list")
@with_session
def list_sbis(
    session: Session,
    *,
    sbd_id: Annotated[
        str | None,
        typer.Option("--sbd_id", "--sbd-id", metavar="SBD_ID", help="Only those of this Scheduling Block."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MAX_LIMIT, help="How many on a page.")] = 50,
    page: Annotated[int, typer.Option("--page", min=1, help="Which page.")] = 1,
    local: Local = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """List SBInstances, newest first."""
    query = SBInstancesQuery.parse({"sbd_id": sbd_id, "limit": limit, "page": page})
    listed = store_of(session, local=local, data_dir=data_dir).list_sbis(query)
    if session.json:
        session.document({"oda": listed.oda, "sbis": list(listed.sbis)})
    else:
        tables.print_sbis(listed.sbis, listed.oda)
    return ExitCode.DONE


@app.command()
@with_session
def show(
    session: Session,
    *,
    sbi_id: Annotated[str, typer.Argument(metavar="SBI_ID")],
    local: Local = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Print an SBInstance as it is stored."""
    found = store_of(session, local=local, data_dir=data_dir).sbi(sbi_id)
    print_document(session, "sbi", found.sbi.to_dict())
    return ExitCode.DONE
