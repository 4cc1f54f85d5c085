"""A client works out by itself what became of a stop that the controller did not outlive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.client.waiting import PROCEDURES, CommandResult
from ska_oso_oet.history.queries import MAX_LIMIT, HistoryQuery
from ska_oso_oet.procedure.abort_outcome import join_reports
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ska_oso_oet.client.port import Controller
    from ska_oso_oet.errors import CommandForgotten
    from ska_oso_oet.procedure.commands import StopProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureSummary

_NOT_RUN: Final[dict[str, Any]] = {
    "state": None,
    "message": "not run: the controller was lost during the stop",
}


def _end_of_abort(abort: ProcedureSummary) -> dict[str, Any]:
    """Report how an abort script ended, and where it was cut off if it ended with the controller."""
    report: dict[str, Any] = {"procedure_id": abort.id, "state": abort.state.value}
    if abort.exit is not None and abort.exit.cause == "controller lost":
        before = abort.history.process_states[-2][0]
        report["message"] = (
            f"cut off: the controller was lost while procedure {abort.id}, which aborts, was {before}"
        )
    elif abort.exit is not None and abort.exit.message:
        report["message"] = abort.exit.message
    return report


def _aborts_of(procedure: ProcedureSummary, others: Iterable[ProcedureSummary]) -> dict[str, Any]:
    """Report how the abort went of each subarray that a procedure had."""
    made = {abort.subarray_id: _end_of_abort(abort) for abort in others if abort.abort_of == procedure.id}
    each = [(number, made.get(number, _NOT_RUN)) for number in procedure.subarray_ids or made]
    if len(each) > 1:
        return join_reports([{"subarray_id": number, **report} for number, report in each])
    return dict(each[0][1]) if each else dict(_NOT_RUN)


def ended_with_the_controller(
    procedure: ProcedureSummary, others: Iterable[ProcedureSummary], *, run_abort: bool | None
) -> CommandResult:
    """Report what is known of a stop whose own result is gone.

    Its aborts are looked for among the `others`, which are read only if there should be any.
    """
    detail: dict[str, Any] = {"procedure_id": procedure.id, "state": procedure.state.value}
    if procedure.exit is not None and procedure.exit.message:
        detail["message"] = procedure.exit.message
    called = any(state is ProcedureState.RUNNING for state, _ in procedure.history.process_states)
    if called if run_abort is None else run_abort:
        detail["abort"] = _aborts_of(procedure, others)
    return CommandResult.of(ResultCode.OK, detail)


def _listed_or_recorded(controller: Controller, procedure: ProcedureSummary) -> Iterator[ProcedureSummary]:
    """Return what may be aborts of a procedure: from the history where one has left the list."""
    found = set()
    for each in controller.listed(PROCEDURES):
        if each.abort_of == procedure.id:
            found.add(each.subarray_id)
            yield each
    for number in procedure.subarray_ids:
        if number not in found:
            query = HistoryQuery(subarray_id=number, since=procedure.created_at, limit=MAX_LIMIT)
            yield from reversed(controller.history(query).procedures)


def result_of_lost_stop(
    controller: Controller, command: StopProcessCommand, lost: CommandForgotten
) -> CommandResult:
    """Find out what became of a stop that the controller did not outlive.

    The process has ended with it, and no abort script is run any more. Raises `lost` where it cannot be known
    which procedure was meant, and where that one is still live; HistoryUnavailable.
    """
    if command.procedure_id is None:
        raise lost
    procedure = controller.described(PROCEDURES, command.procedure_id)
    if not procedure.state.final:
        raise lost
    return ended_with_the_controller(
        procedure, _listed_or_recorded(controller, procedure), run_abort=command.run_abort
    )
