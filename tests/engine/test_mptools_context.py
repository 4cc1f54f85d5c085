"""MainContext, Proc and the workers: what the reference documents say of them, with real processes."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ska_oso_oet.mptools import END, EventMessage, ExitStatus, MainContext, MPQueue, Proc, ProcWorker, Rung
from tests.engine.procedure_bench import are_gone

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0
WORKERS = "mptools_workers"


class Told:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: SimpleQueue[EventMessage] = SimpleQueue()
        self.output = b""
        self.exits: list[ExitStatus] = []

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        self.messages.put(message)

    def on_output(self, proc: Proc, stream: str, data: bytes) -> None:
        self.output += data

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        self.exits.append(status)

    def next(self, msg_type: str) -> Any:
        while (message := self.messages.get(timeout=DEADLINE)).msg_type != msg_type:
            pass
        return message.msg

    def rest(self) -> list[str]:
        """List the types of what it was told and has not been asked for."""
        found = []
        try:
            while True:
                found.append(self.messages.get_nowait().msg_type)
        except Empty:
            return found


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Let every fork server of this module find the workers."""
    folder = str(Path(__file__).with_name("data"))
    sys.path.append(folder)
    yield
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def context(importable: None) -> Iterator[MainContext]:
    with MainContext() as context:
        yield context


@pytest.fixture
def told() -> Told:
    return Told()


def make(context: MainContext, told: Told, worker: str, *args: Any, **kwargs: Any) -> Proc:
    return context.Proc("a worker", f"{WORKERS}:{worker}", *args, listener=told, **kwargs)


# ------------------------------------------------------------ ProcWorker


def test_a_worker_goes_through_its_template(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Reporter", 1, [2], three={"4": None})
    assert proc.exited.result(DEADLINE) == ExitStatus(code=0)
    assert proc.started.result(0)
    assert told.next("startup") == {"args": [1, [2]], "kwargs": {"three": {"4": None}}}
    assert told.rest() == ["STARTED", "main_loop", "shutdown"]
    assert told.exits == [ExitStatus(code=0)]
    assert not proc.alive


def test_a_worker_that_fails_in_its_main_loop_shuts_down_and_exits_with_1(
    context: MainContext, told: Told
) -> None:
    proc = make(context, told, "Fails")
    assert proc.exited.result(DEADLINE) == ExitStatus(code=1)
    assert proc.started.result(0)
    assert told.rest() == ["startup", "STARTED", "shutdown"]
    assert b"ValueError: no main loop" in told.output


def test_a_worker_that_fails_to_start_says_so(context: MainContext, told: Told) -> None:
    proc = make(context, told, "FailsToStart")
    assert proc.exited.result(DEADLINE) == ExitStatus(code=1)
    assert not proc.started.result(0)


@pytest.mark.parametrize(
    "target", ["no_such_module:X", f"{WORKERS}:NoSuchClass", f"{WORKERS}:NoWorker", "junk"]
)
def test_what_is_no_worker_exits_with_1_and_says_why(context: MainContext, told: Told, target: str) -> None:
    proc = context.Proc("x", target, listener=told)
    assert proc.exited.result(DEADLINE) == ExitStatus(code=1)
    assert not proc.started.result(0)
    assert b"could not start" in told.output


def test_a_worker_that_takes_no_arguments_refuses_them(context: MainContext, told: Told) -> None:
    proc = context.Proc("x", ProcWorker, 1, listener=told)
    assert proc.exited.result(DEADLINE) == ExitStatus(code=1)
    assert b"takes no further arguments" in told.output


def test_arguments_that_cannot_be_passed_are_refused_at_once(context: MainContext, told: Told) -> None:
    with pytest.raises(TypeError, match="JSON"):
        make(context, told, "Reporter", object())
    with pytest.raises(ValueError, match="too big"):
        make(context, told, "Reporter", "x" * 100_000)
    with pytest.raises(ValueError, match="JSON"):
        make(context, told, "Reporter", float("nan"))
    assert make(context, told, "Reporter").exited.result(DEADLINE).code == 0


def test_a_worker_sees_every_signal_whatever_the_threads_of_its_parent_block(told: Told) -> None:
    names = [signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGUSR1]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, names)
    try:
        with MainContext() as context:
            proc = make(context, told, "Mask")
            assert proc.exited.result(DEADLINE).code == 0
            ignored = [each for each in signal.valid_signals() if signal.getsignal(each) is signal.SIG_IGN]
            assert told.next("signals") == {"blocked": [], "ignored": sorted(ignored)}
            waiting = make(context, told, "Waiting")
            told.next("here")
            waiting.full_stop()
            assert waiting.exited.result(DEADLINE) == ExitStatus(code=0, rung=Rung.SIGTERM)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ------------------------------------------------------------ stopping


def test_a_stop_asks_first(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Waiting")
    told.next("here")
    proc.full_stop()
    assert proc.exited.result(DEADLINE) == ExitStatus(code=0, rung=Rung.SIGTERM)
    assert told.rest() == ["asked to end", "shutdown"]


def test_a_stop_insists(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Deaf")
    pid = told.next("here")
    proc.full_stop(wait_time=0.2)
    assert proc.exited.result(DEADLINE) == ExitStatus(signal=9, rung=Rung.SIGKILL)
    assert are_gone([pid])


def test_a_later_stop_can_bring_the_end_forward_but_not_put_it_off(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Deaf")
    told.next("here")
    proc.full_stop(wait_time=3600)
    proc.full_stop(wait_time=0.1)
    proc.full_stop(wait_time=3600)
    assert proc.exited.result(DEADLINE) == ExitStatus(signal=9, rung=Rung.SIGKILL)


def test_terminate_waits_for_the_end(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Deaf")
    pid = told.next("here")
    assert proc.terminate(max_retries=2, timeout=0.05)
    assert are_gone([pid])
    assert proc.terminate()


def test_what_is_asked_of_a_process_that_is_gone_is_ignored(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Reporter")
    status = proc.exited.result(DEADLINE)
    proc.send(EventMessage("test", "late"))
    proc.pause_reading()
    proc.resume_reading()
    proc.full_stop(0)
    assert proc.terminate()
    assert (proc.exited.result(), proc.backlog, told.exits) == (status, 0, [status])


def test_stop_procs_counts_how_they_ended(told: Told) -> None:
    with MainContext() as context:
        context.STOP_WAIT_SECS = 0.2
        for worker in ("Waiting", "Waiting", "Deaf"):
            make(context, told, worker)
            told.next("here")
        assert context.stop_procs() == (0, 1)


# ------------------------------------------------------------ queues


def test_a_queue_worker_answers_every_message_and_ends_when_told(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Doubler")
    for number in range(1000):
        proc.send(EventMessage("test", "work", number))
    proc.send(EventMessage("test", "work", "x" * 1_000_000))
    proc.send(EventMessage("test", END))
    assert [told.next("answer") for _ in range(1000)] == list(range(0, 2000, 2))
    assert told.next("answer") == "x" * 2_000_000
    assert proc.exited.result(DEADLINE) == ExitStatus(code=0)
    assert told.rest() == ["shutdown"]


def test_a_queue_worker_ends_when_it_is_asked_while_it_waits(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Doubler")
    assert proc.started.result(DEADLINE)
    proc.full_stop()
    assert proc.exited.result(DEADLINE) == ExitStatus(code=0, rung=Rung.SIGTERM)


def test_a_timer_worker_beats_until_it_is_asked_to_end(context: MainContext, told: Told) -> None:
    proc = make(context, told, "Ticking")
    for _ in range(5):
        told.next("beat")
    proc.full_stop()
    assert proc.exited.result(DEADLINE) == ExitStatus(code=0, rung=Rung.SIGTERM)


def test_queues_of_a_context_are_drained_and_closed(told: Told) -> None:
    with MainContext() as context:
        queues = [context.MPQueue(), context.MPQueue()]
        for queue in queues:
            assert queue.safe_put(EventMessage("test", "x"))
            assert queue.safe_put(EventMessage("test", "y"))
        assert context.stop_queues() == 4
        assert not queues[0].safe_put(EventMessage("test", "z"))
        assert context.stop_queues() == 0


def test_a_queue_between_threads_keeps_order_and_waits(told: Told) -> None:
    queue = MPQueue()
    reader: list[Any] = []

    def read() -> None:
        while (message := queue.get(DEADLINE)).msg_type != END:
            reader.append(message.msg)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(5000):
        queue.put(EventMessage("test", "n", number))
    queue.put(EventMessage("test", END))
    thread.join(DEADLINE)
    assert reader == list(range(5000))
    assert queue.safe_close() == 0


# ------------------------------------------------------------ the end of it all


def _own_threads() -> set[threading.Thread]:
    """The threads that Python has started: a dummy stands for one of a C++ library."""
    return {each for each in threading.enumerate() if not isinstance(each, threading._DummyThread)}


def test_a_stopped_context_leaves_nothing(told: Told) -> None:
    me = psutil.Process()
    gc.collect()  # what earlier tests have left to it
    threads, fds = _own_threads(), me.num_fds()
    with MainContext() as context:
        procs = [make(context, told, worker) for worker in ("Waiting", "Deaf", "Doubler")]
        pids = [told.next("here"), told.next("here")]
        server = context.fork_server_pid
        assert server is not None
        context.STOP_WAIT_SECS = 0.2
        context.MPQueue()
    assert not any(proc.alive for proc in procs)
    assert are_gone([*pids, server])
    assert _own_threads() <= threads
    assert me.num_fds() <= fds
    assert context.stop() == (0, 0)


def test_a_context_is_stopped_while_processes_are_being_made(told: Told) -> None:
    with MainContext() as context:
        context.STOP_WAIT_SECS = 0.2
        procs = [make(context, told, "Deaf") for _ in range(10)]
    assert all(proc.exited.done() for proc in procs)
    assert len(told.exits) == 10


def test_a_context_is_stopped_just_after_its_fork_server_died(told: Told) -> None:
    with MainContext() as context:
        context.STOP_WAIT_SECS = 0.2
        proc = make(context, told, "Deaf")
        pid = told.next("here")
        server = context.fork_server_pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        late = make(context, told, "Deaf")
    assert not proc.alive
    assert not late.alive
    assert are_gone([pid])


def test_a_fork_server_that_is_asked_to_end_goes_on(context: MainContext, told: Told) -> None:
    # A service manager may send SIGTERM to every process of a service; the controller decides what ends.
    server = context.fork_server_pid
    assert server is not None
    os.kill(server, signal.SIGTERM)
    os.kill(server, signal.SIGINT)
    assert make(context, told, "Reporter").exited.result(DEADLINE).code == 0
    assert context.fork_server_pid == server


def test_a_fork_server_that_dies_as_it_forks_is_replaced(tmp_path: Path, told: Told) -> None:
    """What it has just forked still has its end of the socket, of which there is then no end."""
    (tmp_path / "forks.py").write_text("import os, time\nif os.fork() == 0:\n    time.sleep(600)\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with MainContext(("forks",), environment) as context:
        context.STOP_WAIT_SECS = 0.2
        make(context, told, "Waiting")  # nothing ends before, so that nothing is reaped
        told.next("here")
        server = context.fork_server_pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        end, pause = time.monotonic() + DEADLINE, threading.Event()
        while context.fork_server_pid in {server, None}:
            assert time.monotonic() < end, "no other fork server was started"
            pause.wait(0.05)
        after = context.Proc("after", "ska_oso_oet.mptools.worker:ProcWorker", listener=Told())
        assert after.exited.result(DEADLINE).code == 0
