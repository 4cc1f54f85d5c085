"""What scripts leave behind when the fork server, which cleans up behind them, is lost or hangs."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests import cgroups
from tests.engine.procedure_bench import DEADLINE, Bench, S, are_gone, how

if TYPE_CHECKING:
    from collections.abc import Callable

LEAVES = """
    import subprocess
    def init(subarray_id=None): pass
    def main():
        # Each is in a session of its own, and the second one a child of the first.
        shell = subprocess.Popen(
            ["setsid", "sh", "-c", "setsid sleep 600 & echo $!; exec sleep 600"], stdout=subprocess.PIPE
        )
        tell("here", pid=os.getpid(), left=[shell.pid, int(shell.stdout.readline())])
        forever()
"""


def left_by(bench: Bench, pid: int) -> list[int]:
    left: list[int] = bench.heard(pid, "here")["left"]
    return left


def test_what_is_left_is_gone_when_the_end_is_told(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0)
    for _ in range(3):
        pids = [bench.running(LEAVES, subarray_id=number) for number in range(1, 5)]
        server = bench.fork_server
        os.kill(server, signal.SIGKILL)
        assert are_gone([server], DEADLINE)
        os.kill(bench.heard(pids[0], "here")["pid"], signal.SIGKILL)
        for pid in pids[1:]:
            bench.ask_stop(pid)
        for pid in pids:
            bench.ended(pid)
            assert are_gone(left_by(bench, pid))
        assert (bench.ended(pids[0]).state, how(bench.ended(pids[0])).signal) == (S.FAILED, 9)
        assert {bench.ended(pid).state for pid in pids[1:]} == {S.STOPPED}


def test_what_is_left_is_gone_though_the_fork_server_dies_while_it_cleans_up(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench(spares=0)
    for _ in range(5):
        pids = [bench.running(LEAVES, subarray_id=number) for number in range(1, 4)]
        for pid in pids:
            bench.ask_stop(pid)
        os.kill(bench.fork_server, signal.SIGKILL)
        for pid in pids:
            assert bench.ended(pid).state is S.STOPPED
            assert are_gone(left_by(bench, pid))


def test_what_is_left_is_gone_though_the_fork_server_hangs(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0)
    pid = bench.running(LEAVES, subarray_id=1)
    hung = bench.fork_server
    os.kill(hung, signal.SIGSTOP)
    assert bench.stop(pid).state is S.STOPPED
    assert are_gone(left_by(bench, pid))
    assert are_gone([hung])
    assert bench.run("def main(): pass").state is S.COMPLETE


def test_what_cannot_be_killed_holds_its_subarray_and_nobody_else_up(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0, stop_grace_period=0.5)
    with cgroups.freezer() as group:
        pid, other = bench.running(LEAVES, subarray_id=1), bench.running(LEAVES, subarray_id=2)
        frozen = left_by(bench, pid)[0]
        cgroups.freeze(group, frozen)
        bench.ask_stop(pid)
        while pid not in bench.engine.remains():
            are_gone([frozen], 0.05)
        assert bench.stop(other).state is S.STOPPED
        assert bench.run("def main(): pass", subarray_id=3) is not None
        assert bench.summary(pid).state is S.RUNNING
        assert bench.engine.remains()[pid].pids == {frozen}
        cgroups.thaw(group)
        assert bench.ended(pid).state is S.STOPPED
        assert bench.engine.remains() == {}


def test_a_worker_that_cannot_be_killed_is_named_and_keeps_no_engine_from_stopping(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench(spares=0, stop_grace_period=0.5)
    with cgroups.freezer() as group:
        pid = bench.running(LEAVES, subarray_id=1)
        frozen = bench.heard(pid, "here")["pid"]
        cgroups.freeze(group, frozen)
        bench.engine.stop()
        assert not are_gone([frozen])
        assert "still there" in str(how(bench.ended(pid)).message)
        cgroups.thaw(group)
        assert are_gone([frozen], DEADLINE)
        # No engine is there any more to end these.
        for left in left_by(bench, pid):
            os.kill(left, signal.SIGKILL)


# ------------------------------------------------------------ a fork server that hangs while it starts


def hang_the_next(bench: Bench) -> int:
    """Kill the fork server, and halt the next one before it is up."""
    old = bench.fork_server
    os.kill(old, signal.SIGKILL)
    while (new := bench.engine.context.fork_server_pid) in {None, old}:
        are_gone([os.getpid()], 0.01)
    assert new is not None
    os.kill(new, signal.SIGSTOP)
    assert not bench.engine.context.ready
    return new


def test_a_fork_server_that_hangs_while_it_starts_is_replaced(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0)
    running = bench.running(LEAVES, subarray_id=1)
    hung = hang_the_next(bench)
    waiting, stopped = bench.create("def main(): pass"), bench.create("def main(): pass")
    # There is nothing yet that a stop would have to wait for.
    assert bench.stop(stopped).state is S.STOPPED
    assert not are_gone([hung])
    assert bench.stop(running).state is S.STOPPED
    assert bench.wait(waiting, S.READY).state is S.READY
    assert are_gone([hung])


def test_an_engine_whose_fork_server_hangs_while_it_starts_can_be_stopped(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench()
    running = bench.running(LEAVES, subarray_id=1)
    hung = hang_the_next(bench)
    waiting = bench.create("def main(): pass")
    bench.engine.stop()
    assert {bench.ended(pid).state for pid in (running, waiting)} == {S.STOPPED}
    assert are_gone([hung, *left_by(bench, running)])
