"""What is told of the abort script of a stop that the controller did not outlive."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ska_oso_oet.client.lost_stop import ended_with_the_controller, result_of_lost_stop
from ska_oso_oet.errors import CommandForgotten
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, ProcedureEntry
from ska_oso_oet.procedure.commands import StopProcessCommand
from ska_oso_oet.procedure.domain import (
    CallArgs,
    ExitRecord,
    Procedure,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from ska_oso_oet.client.port import Controller

S = ProcedureState
SCRIPT = FileSystemScript(script_uri="file:///x.py")


def procedure(
    number: int,
    *states: ProcedureState,
    abort_of: int | None = None,
    cause: str = "controller lost",
    subarrays: list[int] | None = None,
) -> Procedure:
    given = CallArgs(init=ProcedureInput(subarray_ids=subarrays)) if subarrays else CallArgs()
    made = Procedure(number, SCRIPT, given, created_at=1.0, abort_of=abort_of)
    made.exit = ExitRecord.parse({"cause": cause, "message": None})
    for state in states:
        made.advance(state, 2.0)
    return made


STOPPED = procedure(1, S.STOPPED, cause="stopped").summary()


def told(*listed: Procedure) -> dict[str, object]:
    summaries = [each.summary() for each in listed]
    detail = ended_with_the_controller(STOPPED, [STOPPED, *summaries], run_abort=True).detail["abort"]
    assert isinstance(detail, dict)
    return detail


def test_one_that_was_cut_off_is_named_with_what_it_was_doing() -> None:
    running = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING)
    abort = procedure(2, *running, S.FAILED, abort_of=1)
    assert told(procedure(3, S.FAILED), abort) == {
        "procedure_id": 2,
        "state": "FAILED",
        "message": "cut off: the controller was lost while procedure 2, which aborts, was RUNNING",
    }


def test_one_that_had_ended_is_told_as_it_ended() -> None:
    running = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING)
    assert told(procedure(2, *running, S.COMPLETE, abort_of=1, cause="returned")) == {
        "procedure_id": 2,
        "state": "COMPLETE",
    }


def test_one_that_was_never_made_was_not_run() -> None:
    assert told(procedure(2, S.FAILED)) == {
        "state": None,
        "message": "not run: the controller was lost during the stop",
    }


def test_of_several_the_worst_counts_and_each_is_told() -> None:
    running = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING)
    stopped = procedure(1, S.STOPPED, cause="stopped", subarrays=[3, 4, 5]).summary()
    done = procedure(2, *running, S.COMPLETE, abort_of=1, cause="returned", subarrays=[3]).summary()
    cut_off = procedure(3, *running, S.FAILED, abort_of=1, subarrays=[4]).summary()
    abort = ended_with_the_controller(stopped, [stopped, done, cut_off], run_abort=True).detail["abort"]
    assert (abort["state"], abort["subarray_id"]) == (None, 5)
    assert [(each["subarray_id"], each["state"]) for each in abort["subarrays"]] == [
        (3, "COMPLETE"),
        (4, "FAILED"),
        (5, None),
    ]


class ForgetfulController:
    """A controller that lists the last few procedures, and has the others in its history."""

    def __init__(self, *procedures: Procedure, listed: int) -> None:
        self.summaries = [each.summary() for each in procedures]
        self.count = listed
        self.queries: list[HistoryQuery] = []

    def described(self, _kind: object, number: int) -> ProcedureSummary:
        return next(each for each in self.summaries if each.id == number)

    def listed(self, _kind: object) -> list[ProcedureSummary]:
        return self.summaries[-self.count :]

    def history(self, query: HistoryQuery) -> HistoryPage:
        self.queries.append(query)
        found = [each for each in self.summaries if query.subarray_id in each.subarray_ids]
        entries = [ProcedureEntry(**dict(each), epoch="e", environment=None) for each in reversed(found)]
        return HistoryPage(procedures=entries, total=len(entries))

    def told(self, *, run_abort: bool) -> object:
        controller = cast("Controller", self)
        command = StopProcessCommand(procedure_id=1, run_abort=run_abort)
        return result_of_lost_stop(controller, command, CommandForgotten("lost")).detail.get("abort")


def test_aborts_that_have_left_the_list_are_found_in_the_history() -> None:
    running = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING)
    stopped = procedure(1, S.STOPPED, cause="stopped", subarrays=[3, 4, 5])
    done = [
        procedure(number, *running, S.COMPLETE, abort_of=1, cause="returned", subarrays=[subarray])
        for number, subarray in ((2, 3), (3, 4))
    ]
    controller = ForgetfulController(stopped, *done, listed=1)
    abort = controller.told(run_abort=True)
    assert isinstance(abort, dict)
    assert [(each["subarray_id"], each["state"]) for each in abort["subarrays"]] == [
        (3, "COMPLETE"),
        (4, "COMPLETE"),
        (5, None),
    ]
    assert [query.subarray_id for query in controller.queries] == [3, 5]


def test_the_history_is_not_asked_where_no_abort_was_due() -> None:
    controller = ForgetfulController(procedure(1, S.STOPPED, subarrays=[3]), listed=0)
    assert controller.told(run_abort=False) is None
    assert controller.queries == []
