"""The book of commands: what a long running command shows from its request to its end, without Tango."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.activity.domain import Activity, ActivityCommand, ActivityState
from ska_oso_oet.device.command_book import ActivityEntry, CommandBook
from ska_oso_oet.errors import Rejected
from ska_oso_oet.mptools import ExitStatus, Rung
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.reports import Raised, Returned
from ska_oso_oet.ska.control_model import ResultCode
from ska_oso_oet.ska.device_hooks import DeviceHooks
from ska_oso_oet.ska.long_running_commands import LongRunningCommands
from ska_oso_oet.ska.lrc_record import CommandLimits
from tests.unit.test_procedure_stop import ABORT, SCRIPT, WAY_TO_READY, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.ska.device_hooks import LongStringArray

S = ProcedureState
A = ActivityState
OK, FAILED, ABORTED = int(ResultCode.OK), int(ResultCode.FAILED), int(ResultCode.ABORTED)


class Device(DeviceHooks):
    """A device without Tango: it keeps what clients would be sent of its commands."""

    def __init__(self, limits: CommandLimits) -> None:
        self.updates: dict[str, list[dict[str, Any]]] = {}
        self.lrc = LongRunningCommands(self._emit, limits=limits)
        self.logger = logging.getLogger("device")

    def _emit(self, name: str, value: Any) -> None:
        if name == "_lrcEvent":
            self.updates.setdefault(value[0], []).append(json.loads(value[1]))

    def progress(self, command_id: str) -> list[int]:
        return [update["progress"] for update in self.updates[command_id] if "progress" in update]

    def result(self, command_id: str) -> tuple[int, Any] | None:
        """Return the code and the content of the one result that a command has had; None before."""
        results = [update["result"] for update in self.updates[command_id] if "result" in update]
        if not results:
            return None
        [[code, text]] = results
        return code, json.loads(text)


class Bench(Service):
    """A service of procedures, whose workers do as they are told, and a book of the commands for it."""

    def __init__(self, **limits: int) -> None:
        super().__init__(abort_script=ABORT)
        self.device = Device(CommandLimits(**limits))
        self.book = CommandBook()
        self.bus.follow(ProcedureChange, self.book.on_change)

    def run(self, name: str, request: Callable[[str], object], **how: Any) -> str:
        """Return the id of a command that was begun."""
        [[code], [command_id]] = self.book.run(self.device, name, request, **how)
        assert code == ResultCode.STARTED
        return command_id

    def create(self, subarray_id: int = 1) -> tuple[int, str]:
        made: list[int] = []

        def request(command_id: str) -> None:
            init = ProcedureInput(subarray_id=subarray_id)
            command = PrepareProcessCommand(script=SCRIPT, script_args=CallArgs(init=init))
            made.append(self.procedures.prepare(command, command_id).id)

        command_id = self.run("CreateProcedure", request, on_abort=self.procedures.abandon)
        return made[0], command_id

    def start(self, pid: int) -> str:
        request = StartProcessCommand(procedure_id=pid)
        return self.run(
            "StartProcedure",
            lambda command_id: self.procedures.start(request, command_id),
            on_abort=self.procedures.abandon,
        )

    def asks_to_stop(self, pid: int, *, run_abort: bool) -> str:
        request = StopProcessCommand(procedure_id=pid, run_abort=run_abort)
        return self.run(
            "StopProcedure", lambda command_id: self.procedures.stop(request, command_id), urgent=True
        )

    def loads(self, pid: int) -> None:
        for state in WAY_TO_READY:
            self.procedures.on_state(pid, state)
        self.dispatch()

    def says(self, pid: int, percent: float, **about: Any) -> None:
        self.procedures.on_event(pid, "procedure.progress", {"progress": percent, **about})
        self.dispatch()

    def ends(self, pid: int, ending: Returned | Raised) -> None:
        """Have a process end by itself."""
        self.procedures.on_end(pid, ExitStatus(code=ending.exit_code), ending)
        self.dispatch()

    def stopped(self, pid: int) -> None:
        """Have a process end by the stop that it was asked for."""
        status = ExitStatus(code=Raised.exit_code, rung=Rung.SIGTERM)
        self.procedures.on_end(pid, status, Raised(message="interrupted", interrupted=True))
        self.dispatch()

    def result(self, command_id: str) -> tuple[int, Any] | None:
        self.dispatch()
        return self.device.result(command_id)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refuse(_: str) -> None:
    raise Rejected("not now")


def test_a_create_ends_when_its_procedure_is_ready(bench: Bench) -> None:
    pid, command_id = bench.create()
    assert bench.result(command_id) is None
    bench.loads(pid)
    assert bench.result(command_id) == (OK, {"procedure_id": pid, "state": "READY"})


def test_a_start_shows_the_progress_of_its_script_and_ends_with_it(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    command_id = bench.start(pid)
    bench.says(pid, 33.4)
    bench.says(pid, 52)
    bench.ends(pid, Returned())
    assert bench.device.progress(command_id) == [33, 52]
    assert bench.result(command_id) == (OK, {"procedure_id": pid, "state": "COMPLETE"})


def test_a_script_that_raises_fails_the_start_but_completes_the_command(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    command_id = bench.start(pid)
    bench.ends(pid, Raised(message="ValueError: no dish", stacktrace="…"))
    code, content = bench.result(command_id) or (None, {})
    assert (code, content["state"]) == (FAILED, "FAILED")
    assert "ValueError: no dish" in content["message"]
    assert bench.device.lrc.outcome(command_id).status.name == "COMPLETED"


def test_a_stop_ends_when_the_process_is_gone_and_aborts_the_start(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    start_id = bench.start(pid)
    stop_id = bench.asks_to_stop(pid, run_abort=False)
    assert bench.result(stop_id) is None
    bench.stopped(pid)
    stopped = {"procedure_id": pid, "state": "STOPPED"}
    assert bench.result(start_id) == (ABORTED, stopped)
    assert bench.device.lrc.outcome(start_id).status.name == "ABORTED"
    assert bench.result(stop_id) == (OK, stopped)
    assert bench.device.progress(stop_id) == []


def test_a_stop_with_an_abort_is_half_done_when_the_process_is_gone(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    bench.start(pid)
    stop_id = bench.asks_to_stop(pid, run_abort=True)
    bench.stopped(pid)
    assert bench.device.progress(stop_id) == [50]
    assert bench.result(stop_id) is None
    bench.loads(pid + 1)
    bench.ends(pid + 1, Returned())
    abort = {"procedure_id": pid + 1, "state": "COMPLETE"}
    assert bench.result(stop_id) == (OK, {"procedure_id": pid, "state": "STOPPED", "abort": abort})
    assert bench.device.progress(stop_id) == [50]


def test_an_abort_script_that_fails_does_not_make_the_stop_a_failure(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    bench.start(pid)
    stop_id = bench.asks_to_stop(pid, run_abort=True)
    bench.stopped(pid)
    bench.loads(pid + 1)
    bench.ends(pid + 1, Raised(message="OSError: no dish", stacktrace="…"))
    code, content = bench.result(stop_id) or (None, {})
    assert (code, content["abort"]["state"]) == (OK, "FAILED")
    assert "OSError: no dish" in content["abort"]["message"]


def test_a_refused_request_leaves_nothing_in_the_book(bench: Bench) -> None:
    assert bench.book.run(bench.device, "StartProcedure", refuse) == ([ResultCode.REJECTED], ["not now"])
    [command_id] = bench.device.updates
    assert bench.device.lrc.outcome(command_id).status.name == "REJECTED"
    bench.book.end(command_id, ResultCode.OK, "{}")
    assert bench.device.lrc.outcome(command_id).status.name == "REJECTED"


def test_an_outcome_that_comes_before_the_request_returns_is_not_lost(bench: Bench) -> None:
    def request(command_id: str) -> None:
        bench.book.end(command_id, ResultCode.OK, '{"deleted": 2}')

    assert bench.result(bench.run("PruneHistory", request)) == (OK, {"deleted": 2})


def test_only_what_is_said_to_be_urgent_is_accepted_by_a_full_device() -> None:
    bench = Bench(max_executing=1)
    pid, _ = bench.create()

    def prune() -> LongStringArray:
        return bench.book.run(bench.device, "PruneHistory", lambda _: None)

    assert prune()[0] == [ResultCode.REJECTED]
    bench.asks_to_stop(pid, run_abort=False)


def test_an_abort_that_comes_while_the_request_is_made_stops_what_was_requested(bench: Bench) -> None:
    stopped: list[str] = []
    command_id = bench.run("StartProcedure", lambda _: bench.device.lrc.abort_all(), on_abort=stopped.append)
    assert stopped == [command_id]


# ------------------------------------------------------------ activities


def activity(command_id: str, **options: Any) -> Activity:
    command = ActivityCommand.parse({"activity_name": "observe", "sbd_id": "sbd-1", **options})
    made = Activity(1, command, 0.0, command_id)
    made.procedure_id = 1
    return made


def run_activity(bench: Bench, *, prepare_only: bool = False) -> tuple[Activity, str]:
    def request(command_id: str) -> None:
        bench.procedures.prepare(PrepareProcessCommand(script=SCRIPT), command_id)

    def entry(command: Any) -> ActivityEntry:
        return ActivityEntry(command, prepare_only=prepare_only)

    command_id = bench.run("RunActivity", request, entry=entry)
    return activity(command_id, prepare_only=prepare_only), command_id


def test_an_activity_is_as_far_as_its_subtasks_together(bench: Bench) -> None:
    running, command_id = run_activity(bench)
    bench.loads(1)
    bench.procedures.start(StartProcessCommand(procedure_id=1), command_id)
    bench.says(1, 50)
    assert bench.device.progress(command_id) == [30, 65, 80]
    for state in (A.PREPARED, A.RUNNING):
        running.advance(state, 1.0)
        bench.book.on_activity(running.summary())
    bench.ends(1, Returned())
    assert bench.result(command_id) is None
    running.advance(A.COMPLETE, 2.0)
    bench.book.on_activity(running.summary())
    content = {"activity_id": 1, "procedure_id": 1, "state": "COMPLETE"}
    assert bench.result(command_id) == (OK, content)


@pytest.mark.parametrize(("state", "code"), [(A.FAILED, FAILED), (A.STOPPED, ABORTED)])
def test_an_activity_that_did_not_complete_says_why(bench: Bench, state: ActivityState, code: int) -> None:
    running, command_id = run_activity(bench)
    running.message = "the receiver is warm"
    running.advance(state, 1.0)
    bench.book.on_activity(running.summary())
    content: dict[str, Any] = {"activity_id": 1, "procedure_id": 1, "state": state.value}
    content["message"] = "the receiver is warm"
    if code == FAILED:
        error = {"reason": "FAILED", "desc": "the receiver is warm"}
        content |= {"health_state": "FAILED", "error": [error]}
    assert bench.result(command_id) == (code, content)
    assert bench.device.lrc.outcome(command_id).status.name == ("COMPLETED" if code == FAILED else "ABORTED")


def test_a_prepared_activity_ends_its_command_even_if_another_has_started_it(bench: Bench) -> None:
    prepared, command_id = run_activity(bench, prepare_only=True)
    bench.loads(1)
    bench.start(1)
    bench.says(1, 10)
    prepared.advance(A.PREPARED, 1.0)
    bench.book.on_activity(prepared.summary())
    content = {"activity_id": 1, "procedure_id": 1, "state": "PREPARED"}
    assert bench.result(command_id) == (OK, content)


DEVICES: dict[str, Any] = {"devices": ["ska_mid/tm_subarray_node/1"], "health_state": "DEGRADED"}


def test_what_a_script_reports_of_devices_is_in_the_result_and_in_the_summary(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    command_id = bench.start(pid)
    failed = {**DEVICES, "failed_devices": ["ska_mid/dish/2"]}
    bench.says(pid, 40, **failed)
    bench.ends(pid, Returned())
    assert bench.result(command_id) == (OK, {"procedure_id": pid, "state": "COMPLETE", **failed})
    [summary] = bench.procedures.summarise([pid])
    assert json.loads(summary.to_json())["progress"] == {"percent": 40.0, "message": "", **failed}


def test_devices_that_are_no_names_are_no_progress(bench: Bench) -> None:
    pid, _ = bench.create()
    bench.loads(pid)
    bench.start(pid)
    wrong: list[dict[str, Any]] = [{"devices": [{}]}, {"devices": ["d"] * 101}, {"health_state": "FINE"}]
    for about in wrong:
        bench.says(pid, 40, **about)
    assert bench.procedures.summarise([pid])[0].progress is None


@pytest.mark.parametrize(("state", "health"), [(A.COMPLETE, "DEGRADED"), (A.FAILED, "FAILED")])
def test_the_devices_health_and_errors_of_an_activity_are_in_its_result(
    bench: Bench, state: ActivityState, health: str
) -> None:
    running, command_id = run_activity(bench)
    bench.loads(1)
    bench.procedures.start(StartProcessCommand(procedure_id=1), command_id)
    bench.says(1, 50, **DEVICES)
    for each in (A.PREPARED, A.RUNNING, state):
        running.message = "no dish" if each is A.FAILED else None
        running.advance(each, 1.0)
    bench.book.on_activity(running.summary())
    _, content = bench.result(command_id) or (None, {})
    assert content["devices"] == DEVICES["devices"]
    assert content["health_state"] == health
    error = [{"reason": "FAILED", "desc": "no dish"}] if state is A.FAILED else None
    assert content.get("error") == error
