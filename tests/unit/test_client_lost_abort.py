"""What is told of the abort script of a stop that the controller did not outlive."""

from __future__ import annotations

from ska_oso_oet.client.lost_stop import ended_with_the_controller
from ska_oso_oet.procedure.domain import CallArgs, ExitRecord, Procedure, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import FileSystemScript

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
