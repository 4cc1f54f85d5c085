"""`oet procedure output` prints what a script has written, and writes."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from ska_oso_oet.cli.exit_codes import ExitCode
from ska_oso_oet.cli.following import Goal, OutputView, follow
from ska_oso_oet.cli.naming import Number, Pid, chosen
from ska_oso_oet.cli.session import Session, with_session
from ska_oso_oet.client.waiting import PROCEDURES
from ska_oso_oet.errors import ProcedureNotFound

_TOPICS = ("procedure.output", "procedure.progress", "procedure.lifecycle")


@with_session
def output(
    session: Session,
    number: Number = None,
    procedure_id: Pid = None,
    *,
    since: Annotated[
        int, typer.Option("--since", min=0, metavar="LINE", help="Only lines after this one.")
    ] = 0,
    following: Annotated[
        bool, typer.Option("--follow", help="Go on until the procedure has ended; with --json, line by line.")
    ] = False,
) -> ExitCode:
    """Show what a procedure, by default the newest, has written to stdout, stderr and its log."""
    # Opened before anything is read, so that no line can fall in between.
    stream = session.owns(session.client.events(_TOPICS)) if following else None
    known = session.client.describe(chosen(number, procedure_id) or 0)
    session.procedure_id = known.id
    session.interrupted = f"no longer following; procedure {known.id} goes on"
    if stream is None and session.json:
        session.document({"output": session.client.output(known.id, since)})
        return ExitCode.DONE
    view = OutputView(session, known, since)
    view.catch_up()
    if stream is not None:
        follow(session, stream, view, Goal(PROCEDURES, known, (), session.client.refresh))
        with suppress(ProcedureNotFound):
            view.catch_up()
    return ExitCode.DONE
