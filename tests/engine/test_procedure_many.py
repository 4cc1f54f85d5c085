"""Many procedures, one after another and at once; and what is left when their host is killed."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ska_oso_oet.errors import NotReady, OetError
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput
from tests.engine.procedure_bench import DEADLINE, Bench, S, are_gone, how, states_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event

NOOP = "def main(): pass"
ROOT = Path(__file__).parents[2]


def few_or_many(few: int, many: int) -> Any:
    """Have few rounds in each run, and in a soak as many as it takes to meet what is rare."""
    return pytest.mark.parametrize("rounds", [few, pytest.param(many, marks=pytest.mark.soak)])


@few_or_many(300, 2000)
def test_every_one_of_many_procedures_becomes_ready(new_bench: Callable[..., Bench], rounds: int) -> None:
    bench = new_bench()
    ready: SimpleQueue[int] = SimpleQueue()
    ended: SimpleQueue[tuple[int, list[S]]] = SimpleQueue()

    def on_event(event: Event) -> None:
        if isinstance(event.subject, ProcedureChange):
            summary = event.subject.summary
            if summary.state is S.READY:
                ready.put(summary.id)
            elif summary.state.final:
                ended.put((summary.id, states_of(summary)))

    bench.engine.bus.subscribe(on_event)
    path = bench.script(NOOP)
    (bench.folder / "noop.py").write_text(NOOP)
    uri = path.with_name("noop.py").as_uri()
    created = {bench.load(uri) for _ in range(8)}
    for _ in range(rounds - 8):
        bench.ask_stop(ready.get(timeout=DEADLINE))
        created.add(bench.load(uri))
    for _ in range(8):
        bench.ask_stop(ready.get(timeout=DEADLINE))
    ends = dict(ended.get(timeout=DEADLINE) for _ in range(rounds))
    assert set(ends) == created
    expected = [S.CREATING, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.STOPPED]
    assert [states for states in ends.values() if states != expected] == []


@few_or_many(40, 200)
def test_cycles_leave_nothing_behind(new_bench: Callable[..., Bench], rounds: int) -> None:
    bench = new_bench(event_journal_length=100)
    me = psutil.Process()
    server = psutil.Process(bench.fork_server)
    waiting = bench.script("def main():\n    tell('flood')\n    print('x')\n    forever()").as_uri()

    def cycle() -> None:
        first, second = (bench.load(waiting) for _ in range(2))
        for pid in (first, second):
            bench.wait(pid, S.READY)
        bench.start(first)
        for pid in (first, second):
            bench.stop(pid)
        bench._newest.clear()

    def settled() -> tuple[int, int, int, int]:
        for worker in _spare_workers(bench):
            assert worker.proc.started.result(DEADLINE)
        gc.collect()
        return me.num_fds(), threading.active_count(), len(server.children()), server.num_fds()

    for _ in range(10):
        cycle()
    before, rss, server_rss = settled(), me.memory_info().rss, server.memory_info().rss
    for _ in range(rounds):
        cycle()
    assert _grown_at_last(settled, before) == []
    assert me.memory_info().rss - rss < 5_000_000
    assert server.memory_info().rss - server_rss < 2_000_000


def _grown_at_last(count: Callable[[], tuple[int, ...]], before: tuple[int, ...]) -> list[tuple[int, int]]:
    """Count until nothing is more than before: some things are released a little after the end is told."""
    pause, end = threading.Event(), time.monotonic() + DEADLINE
    while True:
        grown = [(was, now) for was, now in zip(before, count(), strict=True) if now > was]
        if not grown or time.monotonic() > end:
            return grown
        pause.wait(0.1)


def _spare_workers(bench: Bench) -> list[Any]:
    """Have the spare workers replaced that were taken, and list them."""
    pool = bench.engine._pool
    filled: Future[list[Any]] = Future()

    def fill() -> None:
        pool.fill()
        filled.set_result(list(pool._spares))

    bench.engine.context.submit(fill)
    return filled.result(DEADLINE)


def test_32_are_ready_at_once_and_small(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0)
    source = "def init(): tell('pid', pid=os.getpid())\n" + NOOP
    pids = [bench.create(source) for _ in range(32)]
    workers = [bench.heard(pid, "pid")["pid"] for pid in pids]
    for pid in pids:
        bench.wait(pid, S.READY)
    sizes = [psutil.Process(worker).memory_full_info().pss for worker in workers]
    assert sorted(sizes)[16] < 12_000_000


def test_commands_from_many_threads_at_once(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(list_length=1000)
    uri = bench.script("def init(subarray_id): pass\n" + NOOP).as_uri()
    failures: list[Exception] = []

    def session(number: int) -> None:
        try:
            for turn in range(10):
                pid = bench.load(uri, ProcedureInput(subarray_id=number))
                bench.wait(pid, S.READY)
                if turn % 2:
                    bench.start(pid)
                else:
                    bench.ask_stop(pid)
                assert bench.ended(pid).state is (S.COMPLETE if turn % 2 else S.STOPPED)
        except (AssertionError, OetError) as error:
            failures.append(error)

    threads = [threading.Thread(target=session, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_stop_that_races_with_the_end_is_one_or_the_other(bench: Bench) -> None:
    for _ in range(50):
        pid = bench.ready(NOOP)
        bench.start(pid)
        try:
            bench.procedures.stop(StopProcessCommand(procedure_id=pid, run_abort=False))
        except NotReady:
            assert bench.summary(pid).state is S.COMPLETE
        summary = bench.ended(pid)
        assert summary.state in (S.COMPLETE, S.STOPPED)
        assert how(summary).cause == ("returned" if summary.state is S.COMPLETE else "stopped")


# ------------------------------------------------------------ the host

HOST = """
import sys, json, pathlib, threading
from tests.engine.procedure_bench import Bench
folder, source = pathlib.Path(sys.argv[1]), sys.argv[2]
bench = Bench(folder).__enter__()
pid = bench.running(source)
told = bench.heard(pid, "here")
print(json.dumps({"server": bench.fork_server, "pids": told["pids"]}), flush=True)
threading.Event().wait()
"""

DEFENCES = {
    "cooperative": "forever()",
    "deaf": "signal.signal(signal.SIGTERM, signal.SIG_IGN); forever()",
    "blocked": "signal.pthread_sigmask(signal.SIG_SETMASK, range(1, signal.NSIG)); forever()",
    "in C": "sum(itertools.repeat(0))",
    "halted": "os.kill(os.getpid(), signal.SIGSTOP)",
    "publishing": "[tell('flood', text='x' * 1000) for _ in itertools.count()]",
    "printing": "[print('x' * 1000) for _ in itertools.count()]",
}


@pytest.mark.parametrize("defence", DEFENCES)
def test_a_killed_host_leaves_no_process(tmp_path: Path, defence: str) -> None:
    source = f"""
        import itertools, subprocess
        def main():
            free = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
            tell("here", pids=[os.getpid(), free])
            while True:
                try:
                    {DEFENCES[defence]}
                except BaseException:
                    pass
    """
    argv = [sys.executable, "-c", HOST, str(tmp_path), source]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        found = json.loads(host.stdout.readline())
        pids = [found["server"], *found["pids"], *(p.pid for p in psutil.Process(found["server"]).children())]
        assert not any(are_gone([pid]) for pid in pids)
        host.kill()
        assert are_gone(pids, timeout=DEADLINE)


def test_a_killed_host_and_fork_server_leave_no_cooperative_script(tmp_path: Path) -> None:
    source = "def main():\n    tell('here', pids=[os.getpid()])\n    forever()"
    argv = [sys.executable, "-c", HOST, str(tmp_path), source]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        found = json.loads(host.stdout.readline())
        os.kill(found["server"], signal.SIGKILL)
        host.kill()
        assert are_gone([found["server"], *found["pids"]], timeout=DEADLINE)
