"""Stops of ScriptExecutionService, with workers that do what they are told."""

from __future__ import annotations

import json
from collections import deque
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.errors import Rejected
from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal, EventsQuery
from ska_oso_oet.mptools import ExitStatus, Rung
from ska_oso_oet.procedure.application import ScriptExecutionService
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.ports import ServiceRules
from ska_oso_oet.procedure.reports import Returned
from ska_oso_oet.source.script import EmbeddedStringScript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ska_oso_oet.procedure.ports import Allowed

S = ProcedureState
DEADLINE = 60.0
SCRIPT = EmbeddedStringScript(script_source="def main(): pass")
ABORT = EmbeddedStringScript(script_source="def main(): pass", script_name="abort")
WAY_TO_READY = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY)


class Workers:
    """A pool that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.stopped = Event()

    def create_worker(self, pid: int, command: PrepareProcessCommand, allowed: Allowed) -> None:
        self.asked.append(("create", pid))

    def send_run(self, pid: int, fn_name: str, run_args: ProcedureInput, offered: Iterable[str] = ()) -> None:
        self.asked.append((fn_name, pid))

    def stop_worker(self, pid: int) -> None:
        self.asked.append(("stop", pid))
        self.stopped.set()

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Call nothing: no time passes here."""


class Service:
    """A service, its workers, and what was published."""

    def __init__(self, **rules: Any) -> None:
        self.workers = Workers()
        self.now = 0.0
        self.journal = EventJournal("e", 1000, clock=lambda: 0.0)
        self.later: deque[Callable[[], None]] = deque()
        self.bus = EventBus(self.journal, self.later.append)
        kept = ServiceRules(**{"abort_script": ABORT, **rules})
        self.procedures = ScriptExecutionService(self.bus, lambda: self.now, kept)
        self.procedures.use(self.workers)

    def dispatch(self) -> None:
        """Tell the listeners of the bus what was published."""
        while self.later:
            self.later.popleft()()

    def created(self, subarray_id: int = 1, command_id: str | None = None) -> int:
        init = ProcedureInput(subarray_id=subarray_id)
        command = PrepareProcessCommand(script=SCRIPT, script_args=CallArgs(init=init))
        return self.procedures.prepare(command, command_id).id

    def becomes_ready(self, pid: int) -> int:
        self.now += 1.0
        for state in WAY_TO_READY:
            self.procedures.on_state(pid, state)
        return pid

    def running(self, subarray_id: int = 1, command_id: str | None = None) -> int:
        pid = self.becomes_ready(self.created(subarray_id, command_id))
        self.procedures.start(StartProcessCommand(procedure_id=pid))
        return pid

    def stop(self, pid: int | None, command_id: str, *, run_abort: bool = False) -> str:
        """Stop as the device does; answers the command to wait for."""
        request = StopProcessCommand(procedure_id=pid, run_abort=run_abort)
        joined = self.procedures.join_stop(request)
        if joined is None:
            self.procedures.stop(request, command_id)
        return joined or command_id

    def ended(self, pid: int) -> None:
        self.procedures.on_end(pid, ExitStatus(signal=15, rung=Rung.SIGTERM), None)

    def state(self, pid: int) -> ProcedureState:
        return self.procedures.summarise([pid])[0].state


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_stop_that_joins_anothers_is_the_same_command(service: Service) -> None:
    pid = service.running()
    assert service.stop(pid, "first") == "first"
    assert [service.stop(pid, f"later {n}") for n in range(100)] == ["first"] * 100
    assert service.stop(None, "the only one that runs") == "first"
    assert service.workers.asked.count(("stop", pid)) == 1
    asked_for = EventsQuery(since=0, topics=["request.procedure.stop"])
    assert len(json.loads(service.journal.read(asked_for))["events"]) == 102


def test_a_stop_joins_only_what_does_the_same(service: Service) -> None:
    pid, other = service.running(1), service.running(2)
    assert service.stop(pid, "without") == "without"
    assert service.stop(pid, "with", run_abort=True) == "with"
    assert service.stop(pid, "with too", run_abort=True) == "with"
    assert service.stop(other, "another") == "another"


def test_a_stop_by_nobody_is_not_joined(service: Service) -> None:
    pid = service.running(command_id="creation")
    service.procedures.abandon("creation")
    assert service.stop(pid, "mine") == "mine"


def test_what_has_ended_or_is_unknown_is_not_joined(service: Service) -> None:
    pid = service.running()
    service.stop(pid, "first")
    service.ended(pid)
    for unknown in (pid, 99, None):
        assert service.procedures.join_stop(StopProcessCommand(procedure_id=unknown)) is None


def test_procedures_that_nobody_starts_have_an_end() -> None:
    service = Service(max_ready=2)
    slow = service.created()
    running = service.running()
    first, second = (service.becomes_ready(service.created()) for _ in range(2))
    assert ("stop", first) not in service.workers.asked
    service.becomes_ready(slow)
    assert [asked for asked in service.workers.asked if asked[0] == "stop"] == [("stop", first)]
    service.ended(first)
    summary = service.procedures.summarise([first])[0]
    assert summary.state is S.STOPPED
    assert summary.exit is not None
    assert "nobody had started it, and more than 2 procedures were READY" in (summary.exit.message or "")
    assert [service.state(pid) for pid in (running, second, slow)] == [S.RUNNING, S.READY, S.READY]


def test_one_that_is_being_stopped_does_not_count_as_waiting() -> None:
    service = Service(max_ready=2)
    first, second = (service.becomes_ready(service.created()) for _ in range(2))
    service.stop(first, "not needed")
    service.becomes_ready(service.created())
    assert ("stop", second) not in service.workers.asked


# ------------------------------------------------------------ the end of the service


@pytest.fixture
def ending(service: Service) -> Iterator[Callable[..., Thread]]:
    """Begin the end of the service on a thread of its own."""
    threads = []

    def begin(*, run_abort: bool = False) -> Thread:
        thread = Thread(target=service.procedures.end_all, args=(DEADLINE,), kwargs={"run_abort": run_abort})
        thread.start()
        threads.append(thread)
        assert service.workers.stopped.wait(DEADLINE)
        return thread

    yield begin
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_the_end_waits_for_what_runs_and_aborts_nothing(
    service: Service, ending: Callable[..., Thread]
) -> None:
    pid = service.running()
    thread = ending()
    assert thread.is_alive()
    service.ended(pid)
    thread.join(DEADLINE)
    assert service.workers.asked.count(("create", pid + 1)) == 0


def test_the_end_aborts_the_subarrays_of_what_runs_if_it_is_to(
    service: Service, ending: Callable[..., Thread]
) -> None:
    pid = service.running()
    thread = ending(run_abort=True)
    service.ended(pid)
    abort = pid + 1
    assert ("create", abort) in service.workers.asked
    assert thread.is_alive()
    service.becomes_ready(abort)
    service.procedures.on_end(abort, ExitStatus(code=0), Returned())
    thread.join(DEADLINE)
    assert service.state(abort) is S.COMPLETE


def test_the_end_waits_for_an_abort_that_was_asked_for(
    service: Service, ending: Callable[..., Thread]
) -> None:
    pid = service.running()
    service.stop(pid, "with", run_abort=True)
    service.ended(pid)
    abort = pid + 1
    other = service.running(2)
    thread = ending()
    service.ended(other)
    assert thread.is_alive()
    assert ("stop", abort) not in service.workers.asked
    service.becomes_ready(abort)
    service.procedures.on_end(abort, ExitStatus(code=0), Returned())
    thread.join(DEADLINE)


def test_whether_the_end_has_an_abort_to_wait_for(service: Service) -> None:
    service.becomes_ready(service.created())
    assert not service.procedures.is_abort_due(run_abort=True)
    pid = service.running()
    assert not service.procedures.is_abort_due(run_abort=False)
    assert service.procedures.is_abort_due(run_abort=True)
    service.stop(pid, "with", run_abort=True)
    assert service.procedures.is_abort_due(run_abort=False)
    service.ended(pid)
    assert service.procedures.is_abort_due(run_abort=False)
    service.procedures.on_end(pid + 1, ExitStatus(code=0), None)
    assert not service.procedures.is_abort_due(run_abort=False)


def test_nothing_is_created_once_the_end_has_begun(service: Service, ending: Callable[..., Thread]) -> None:
    pid = service.running()
    ending()
    with pytest.raises(Rejected, match="the controller is stopping"):
        service.procedures.prepare(PrepareProcessCommand(script=SCRIPT))
    service.ended(pid)
