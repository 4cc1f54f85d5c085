"""These steps create and start a procedure, and report what happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.cli import tables
from ska_oso_oet.cli.output import diagnostic
from ska_oso_oet.errors import NotFound
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from ska_oso_oet.cli.arguments import Call
    from ska_oso_oet.cli.following import Follower
    from ska_oso_oet.cli.session import Session
    from ska_oso_oet.procedure.commands import PrepareProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureSummary


def create_procedure(
    session: Session, command: PrepareProcessCommand, follower: Follower | None
) -> ProcedureSummary:
    """Create a procedure; with a follower, wait until it is READY or has ended."""
    known = session.client.create(command)
    session.procedure_id = known.id
    session.interrupted = (
        f"no longer following; procedure {known.id} is being prepared and will not start by itself "
        f"(oet procedure stop --pid={known.id} ends it)"
    )
    if follower is None:
        return known
    _announce(session, known)
    return follower.until(known, {ProcedureState.READY})


def start_procedure(
    session: Session, procedure_id: int | None, main: Call, follower: Follower | None
) -> ProcedureSummary:
    """Start a procedure, by default the one created last, once it is loaded; a follower waits for its end."""
    number = _loaded(session, procedure_id, follower)
    _about_to_start(session, number)
    return _started(session, session.client.start(number, *main.args, **main.kwargs), follower)


def start_created(session: Session, number: int, follower: Follower | None) -> ProcedureSummary:
    """Start a procedure that was created for it, or end it; a follower waits for its end."""
    _about_to_start(session, number)
    return _started(session, session.client.start_or_end(number, session.deadline), follower)


def _about_to_start(session: Session, number: int) -> None:
    session.interrupted = (
        f"interrupted while procedure {number} was being started; it may go on (oet procedure list)"
    )


def _started(session: Session, known: ProcedureSummary, follower: Follower | None) -> ProcedureSummary:
    session.procedure_id = known.id
    session.interrupted = (
        f"no longer following; procedure {known.id} goes on (oet procedure stop --pid={known.id} ends it)"
    )
    if follower is None:
        return known
    _announce(session, known)
    return follower.until(known)


def _loaded(session: Session, procedure_id: int | None, follower: Follower | None) -> int:
    """Find the procedure to be started; wait until it is READY, or has ended, if it is still being loaded."""
    try:
        known = (
            session.client.created_last() if procedure_id is None else session.client.describe(procedure_id)
        )
    except NotFound:
        if procedure_id is None:
            raise
        return procedure_id  # the refusal of the start names what is wrong
    if known.state.final or known.state in {ProcedureState.READY, ProcedureState.RUNNING}:
        return known.id
    session.interrupted = f"no longer waiting for procedure {known.id}, which has not been started"
    if not session.json:
        diagnostic(f"procedure {known.id} is {known.state}: waiting until it is READY")
    if follower is not None:
        return follower.until(known, {ProcedureState.READY}).id
    return session.client.wait(known.id, {ProcedureState.READY}, session.deadline).id


def _announce(session: Session, procedure: ProcedureSummary) -> None:
    if not session.json:
        tables.print_procedures([procedure])
