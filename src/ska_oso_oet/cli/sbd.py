"""`oet sbd` works on SBDefinitions in the controller's ODA, or in a store opened without a controller."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ska_oso_oet.cli import tables
from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.scheduling_blocks import DataDir, Local, print_document, store_of
from ska_oso_oet.cli.session import Session, acts, with_session
from ska_oso_oet.errors import InvalidArgument, OetError
from ska_oso_oet.oda import SBDefinition
from ska_oso_oet.oda.sbdefinition import SBDefinitionEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(no_args_is_help=True, help="Look at and add Scheduling Blocks.")

_STDIN = "-"


@app.command()
@with_session
@acts
def add(
    session: Session,
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="JSON documents; - for stdin.")],
    local: Local = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Store Scheduling Blocks; one without a version becomes the next version.

    A draft, which has no id, gets one and is printed with it. Nothing is stored when a document is bad.
    """
    sbds = _read_all(files)
    store = store_of(session, local=local, data_dir=data_dir)
    session.interrupted = "interrupted while a document was being stored (oet sbd list)"
    name, stored = "", list[SBDefinitionEntry]()
    for file, sbd in zip(files, sbds, strict=True):
        try:
            new = store.add_sbd(sbd, _user())
        except OetError as error:
            before = f" (stored before it: {', '.join(files[: len(stored)])})" if stored else ""
            raise type(error)(f"{file}: {error}{before}") from None
        name = new.oda
        stored.append(SBDefinitionEntry.of(new.sbd.sbd_id, new.sbd.version or 1, new.sbd.to_dict()))
    _report(session, name, stored)
    return ExitCode.DONE


@app.command("list")
@with_session
def list_sbds(session: Session, *, local: Local = False, data_dir: DataDir = None) -> ExitCode:
    """List the newest version of every Scheduling Block."""
    listed = store_of(session, local=local, data_dir=data_dir).list_sbds()
    _report(session, listed.oda, listed.sbds)
    return ExitCode.DONE


@app.command()
@with_session
def show(
    session: Session,
    *,
    sbd_id: Annotated[str, typer.Argument(metavar="SBD_ID")],
    version: Annotated[int | None, typer.Option("--version", min=1, help="By default the newest.")] = None,
    local: Local = False,
    data_dir: DataDir = None,
) -> ExitCode:
    """Print a Scheduling Block as it is stored."""
    found = store_of(session, local=local, data_dir=data_dir).sbd(sbd_id, version)
    print_document(session, "sbd", found.sbd.to_dict())
    return ExitCode.DONE


def _read_all(files: Sequence[str]) -> list[SBDefinition]:
    """Read documents; raises InvalidArgument that names everything that is wrong in any of them."""
    sbds, faults = [], []
    for file in files:
        try:
            source = sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
            sbds.append(SBDefinition.submitted(source))
        except OSError as error:
            faults.append(f"{file}: {error.strerror}")
        except InvalidArgument as error:
            faults.append(f"{file}: {error}")
    if faults:
        raise InvalidArgument("\n".join(faults))
    return sbds


def _user() -> str:
    """Name who adds a document, for one that names no author."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _report(session: Session, store: str, entries: Sequence[SBDefinitionEntry]) -> None:
    if session.json:
        session.document({"oda": store, "sbds": list(entries)})
    else:
        tables.print_sbds(entries, store)
