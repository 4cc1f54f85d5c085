"""Procedures and their subarrays: which may be commanded, several at once, and what a stop aborts."""

from __future__ import annotations

from typing import Any

import pytest

from ska_oso_oet.errors import SubarrayBusy, SubarrayNotAllowed
from ska_oso_oet.mptools import ExitStatus
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.exclusivity import Exclusivity
from ska_oso_oet.procedure.reports import Returned
from ska_oso_oet.procedure.subarrays import Subarrays
from tests.unit.test_procedure_stop import ABORT, SCRIPT, WAY_TO_READY, Service

S = ProcedureState


class Bench(Service):
    """A service, and the ends of the commands that were given to it."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(**rules)
        self.results: dict[str, dict[str, Any]] = {}
        self.bus.subscribe(self.on_event)

    def on_event(self, event: Any) -> None:
        if isinstance(event.subject, ProcedureChange):
            self.results |= {outcome.command_id: outcome.content for outcome in event.subject.outcomes}

    def create(self, *states: ProcedureState, main: dict[str, Any] | None = None, **init: Any) -> int:
        arguments = CallArgs(init=ProcedureInput(**init), main=ProcedureInput(**(main or {})))
        pid = self.procedures.prepare(PrepareProcessCommand(script=SCRIPT, script_args=arguments)).id
        for state in states or WAY_TO_READY:
            self.procedures.on_state(pid, state)
        return pid

    def start(self, pid: int, **main: Any) -> None:
        arguments = {"main": {"kwargs": main}} if main else {}
        self.procedures.start(StartProcessCommand.parse({"procedure_id": pid, "script_args": arguments}))

    def started(self, **init: Any) -> int:
        pid = self.create(**init)
        self.start(pid)
        return pid

    def stopped(self, pid: int, *, run_abort: bool | None = None) -> list[int]:
        """Stop a procedure to its end; answers the abort procedures that it is followed by."""
        before = {summary.id for summary in self.procedures.summarise()}
        self.procedures.stop(StopProcessCommand(procedure_id=pid, run_abort=run_abort), "stop")
        self.ended(pid)
        return sorted({summary.id for summary in self.procedures.summarise()} - before)

    def subarrays(self, pid: int) -> list[int]:
        return self.procedures.summarise([pid])[0].subarray_ids

    def aborts(self, pid: int) -> None:
        """Have an abort procedure do its work."""
        for state in WAY_TO_READY:
            self.procedures.on_state(pid, state)
        self.procedures.on_end(pid, ExitStatus(code=0), Returned())

    def result(self) -> dict[str, Any] | None:
        self.dispatch()
        return self.results.get("stop")


@pytest.fixture
def bench() -> Bench:
    return Bench(abort_script=ABORT)


# ------------------------------------------------------------ which may be commanded


def test_a_create_for_another_controllers_subarray_is_refused() -> None:
    bench = Bench(subarrays=Subarrays.read("2-3", 16))
    for arguments in ({"subarray_id": 1}, {"subarray_ids": [2, 1]}, {"main": {"subarray_id": 4}}):
        with pytest.raises(SubarrayNotAllowed, match="2-3"):
            bench.create(**arguments)
    assert bench.workers.asked == []
    bench.started(subarray_ids=[2, 3])


def test_a_start_for_another_controllers_subarray_or_for_none_is_refused() -> None:
    bench = Bench(subarrays=Subarrays.read("2", 16))
    pid = bench.create()
    with pytest.raises(SubarrayNotAllowed, match="names no subarray"):
        bench.start(pid)
    with pytest.raises(SubarrayNotAllowed, match="subarray 1 "):
        bench.start(pid, subarray_id=1)
    assert bench.state(pid) is S.READY
    bench.start(pid, subarray_id=2)


def test_a_subarray_that_the_telescope_does_not_have_is_refused(bench: Bench) -> None:
    with pytest.raises(SubarrayNotAllowed, match="subarrays 1-16, not subarray 17"):
        bench.create(subarray_id=17)
    bench.started()


# ------------------------------------------------------------ the one that a script is given


def test_what_a_script_is_given_is_among_its_arguments_and_is_held(bench: Bench) -> None:
    pid = bench.create(S.IDLE, S.LOADING, S.IDLE, colour="red")
    bench.procedures.on_subarray(pid, 1)
    for state in (S.INITIALISING, S.READY):
        bench.procedures.on_state(pid, state)
    summary = bench.procedures.summarise([pid])[0]
    assert summary.script_args.init.kwargs == {"subarray_id": 1, "colour": "red"}
    assert summary.subarray_ids == [1]
    bench.start(pid)
    with pytest.raises(SubarrayBusy, match="holds subarray 1"):
        bench.started(subarray_id=1)
    bench.started(subarray_id=2)


def test_a_worker_cannot_take_a_procedure_to_another_subarray(bench: Bench) -> None:
    named = bench.create(S.IDLE, S.LOADING, S.IDLE, subarray_id=2)
    bench.procedures.on_subarray(named, 1)
    later = bench.create()
    bench.procedures.on_subarray(later, 1)
    assert (bench.subarrays(named), bench.subarrays(later)) == ([2], [])


# ------------------------------------------------------------ several


def test_a_script_of_several_subarrays_runs_beside_those_of_others(bench: Bench) -> None:
    several = bench.started(subarray_ids=[1, 2])
    bench.started(subarray_id=3)
    for arguments in ({"subarray_id": 2}, {"subarray_ids": [4, 1]}):
        with pytest.raises(SubarrayBusy, match=f"procedure {several}, .* holds subarrays 1, 2"):
            bench.started(**arguments)


def test_an_abort_takes_every_subarray_and_the_stop_ends_with_the_last(bench: Bench) -> None:
    pid = bench.started(subarray_ids=[1, 2])
    first, second = bench.stopped(pid)
    assert [bench.subarrays(abort) for abort in (first, second)] == [[1], [2]]
    with pytest.raises(SubarrayBusy, match=f"procedure {second}"):
        bench.started(subarray_id=2)
    bench.aborts(second)
    assert bench.result() is None
    bench.procedures.on_end(first, ExitStatus(code=1), None)
    abort = (bench.result() or {})["abort"]
    assert (abort["subarray_id"], abort["procedure_id"], abort["state"]) == (1, first, "FAILED")
    assert [(each["subarray_id"], each["state"]) for each in abort["subarrays"]] == [
        (1, "FAILED"),
        (2, "COMPLETE"),
    ]


def test_what_somebody_else_holds_by_then_is_not_aborted_but_the_others_are(bench: Bench) -> None:
    ready = bench.create(subarray_ids=[1, 2])
    holder = bench.started(subarray_id=1)
    [abort] = bench.stopped(ready, run_abort=True)
    bench.aborts(abort)
    told = (bench.result() or {})["abort"]
    assert (told["subarray_id"], told["state"]) == (1, None)
    assert f"procedure {holder}" in told["message"]
    assert told["subarrays"][0] == {"subarray_id": 2, "procedure_id": abort, "state": "COMPLETE"}


def test_where_one_runs_at_a_time_all_subarrays_are_aborted() -> None:
    bench = Bench(abort_script=ABORT, exclusivity=Exclusivity.GLOBAL)
    assert len(bench.stopped(bench.started(subarray_ids=[1, 2]))) == 2


def test_one_abort_is_told_as_ever(bench: Bench) -> None:
    [abort] = bench.stopped(bench.started(subarray_id=3))
    bench.aborts(abort)
    told = (bench.result() or {})["abort"]
    assert told == {"procedure_id": abort, "state": "COMPLETE"}


# ------------------------------------------------------------ whether a stop aborts


@pytest.mark.parametrize("run_abort", [None, True])
def test_a_stop_of_what_runs_aborts_its_subarray(bench: Bench, *, run_abort: bool | None) -> None:
    assert len(bench.stopped(bench.started(subarray_id=1), run_abort=run_abort)) == 1


def test_a_stop_aborts_nothing_if_it_says_so(bench: Bench) -> None:
    assert bench.stopped(bench.started(subarray_id=1), run_abort=False) == []
    assert "abort" not in (bench.result() or {})


def test_what_has_not_called_main_holds_nothing_that_a_stop_would_abort(bench: Bench) -> None:
    assert bench.stopped(bench.create(subarray_id=1)) == []
    assert "abort" not in (bench.result() or {})
    assert len(bench.stopped(bench.create(subarray_id=1), run_abort=True)) == 1


def test_what_ran_without_a_subarray_is_told_as_not_aborted(bench: Bench) -> None:
    pid = bench.started()
    assert bench.stopped(pid) == []
    abort = (bench.result() or {})["abort"]
    assert abort == {"state": None, "message": f"not run: procedure {pid} has no subarray_id"}


def test_an_abort_that_is_stopped_is_not_followed_by_another(bench: Bench) -> None:
    [abort] = bench.stopped(bench.started(subarray_id=1))
    for state in WAY_TO_READY:
        bench.procedures.on_state(abort, state)
    assert bench.stopped(abort) == []


def test_who_asked_is_in_the_summary(bench: Bench) -> None:
    command = PrepareProcessCommand(script=SCRIPT)
    assert bench.procedures.prepare(command, "c", "alice@console pid 7").requester == "alice@console pid 7"
