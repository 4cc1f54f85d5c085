"""Whatever becomes of a script's process, it is noticed, told as it was, and hurts nobody else."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from ska_oso_oet.mptools.message import MAX_FRAME
from tests.engine.procedure_bench import (
    DEADLINE,
    FORGE,
    IMPATIENT,
    PATIENT,
    Bench,
    S,
    are_gone,
    how,
    states_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOOP = "def main(): pass"
WAITING = "def main():\n    tell('here', pid=os.getpid())\n    forever()"
SEGFAULT = "import ctypes; ctypes.string_at(0)"


def test_kill_from_outside_is_noticed(bench: Bench) -> None:
    pid = bench.running(WAITING)
    os.kill(bench.heard(pid, "here")["pid"], signal.SIGKILL)
    summary = bench.ended(pid)
    assert summary.state is S.FAILED
    assert (how(summary).cause, how(summary).signal) == ("signal", 9)
    assert how(summary).message == "killed by signal 9 (SIGKILL)"


def test_kill_of_a_ready_one_is_noticed(bench: Bench) -> None:
    pid = bench.ready("tell('here', pid=os.getpid())\n" + NOOP)
    os.kill(bench.heard(pid, "here")["pid"], signal.SIGKILL)
    summary = bench.ended(pid)
    assert states_of(summary)[-2:] == [S.READY, S.FAILED]
    assert how(summary).signal == 9


@pytest.mark.parametrize(("signum", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_an_interrupt_from_outside_is_no_stop(bench: Bench, signum: int, name: str) -> None:
    pid = bench.running("""
        def main():
            try:
                tell("here", pid=os.getpid())
                forever()
            finally:
                tell("finally")
    """)
    os.kill(bench.heard(pid, "here")["pid"], signum)
    summary = bench.ended(pid)
    assert summary.state is S.FAILED
    assert (how(summary).cause, how(summary).stopped_by) == ("signal", None)
    assert name in str(how(summary).message)
    assert "not sent by the controller" in str(how(summary).message)
    assert bench.told(pid, "finally") == [{}]


@pytest.mark.parametrize("place", ["top", "init", "main"])
def test_a_segmentation_fault(bench: Bench, place: str) -> None:
    source = {
        "top": f"{SEGFAULT}\n{NOOP}",
        "init": f"def init(): {SEGFAULT}\n{NOOP}",
        "main": f"def main(): {SEGFAULT}",
    }[place]
    summary = bench.run(source)
    assert summary.state is S.FAILED
    assert how(summary).message == "killed by signal 11 (SIGSEGV)"
    last = {"top": S.LOADING, "init": S.INITIALISING, "main": S.RUNNING}[place]
    assert states_of(summary)[-2:] == [last, S.FAILED]


@pytest.mark.parametrize("code", [0, 1, 77])
@pytest.mark.parametrize("place", ["top", "init", "main"])
def test_os_exit(bench: Bench, place: str, code: int) -> None:
    call = f"os._exit({code})"
    source = {
        "top": f"{call}\n{NOOP}",
        "init": f"def init(): {call}\n{NOOP}",
        "main": f"def main(): {call}",
    }[place]
    summary = bench.run(source)
    assert summary.state is S.FAILED
    assert (how(summary).cause, how(summary).code) == ("exit_code", code or None)
    assert how(summary).message == f"the process ended with exit code {code} before the script had returned"


def test_what_a_script_told_before_it_was_killed_is_not_lost(bench: Bench) -> None:
    pid = bench.run("""
        def main():
            for number in range(1000):
                tell("step", number=number)
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """).id
    assert [data["number"] for data in bench.told(pid, "step")] == list(range(1000))
    assert bench.written(pid)[-1] == "last words"


def test_a_worker_that_is_killed_while_it_publishes_holds_nobody_up(bench: Bench) -> None:
    source = """
        def init(subarray_id): pass
        def main():
            tell("here", pid=os.getpid())
            while True:
                tell("flood", text="x" * 100_000)
    """
    pids = [bench.running(source, subarray_id=number) for number in (1, 2, 3)]
    for pid in pids:
        os.kill(bench.heard(pid, "here")["pid"], signal.SIGKILL)
    assert {how(bench.ended(pid)).signal for pid in pids} == {9}
    assert bench.run(NOOP).state is S.COMPLETE


# ------------------------------------------------------------ scripts that do odd things


def test_a_script_that_forks_is_still_one_procedure(bench: Bench) -> None:
    # The child returns from main at once, and publishes; the parent goes on.
    summary = bench.run("""
        def main():
            if (child := os.fork()) == 0:
                tell("child")
                return
            os.waitpid(child, 0)
            tell("parent")
            raise ValueError("of the parent")
    """)
    assert summary.state is S.FAILED
    assert how(summary).message == "ValueError: of the parent"
    assert bench.told(summary.id, "parent") == [{}]
    assert bench.told(summary.id, "child") == []
    warning = "an event on test.child was not sent: this process was forked by the script"
    assert warning in bench.written(summary.id)


def test_a_forked_child_does_not_say_that_the_script_is_ready(bench: Bench) -> None:
    pid = bench.create("""
        def init():
            reader, writer = os.pipe()

            def when_it_waits_for_orders(frame, event, called):
                if event == "c_call" and called.__name__ == "get":
                    os.write(writer, b"x")

            if os.fork() == 0:
                sys.setprofile(when_it_waits_for_orders)
                return
            os.read(reader, 1)
            tell("here")
            forever()
        def main(): pass
    """)
    bench.heard(pid, "here")
    assert S.READY not in states_of(bench.stop(pid))


def test_multiprocessing_works_in_a_script(bench: Bench) -> None:
    summary = bench.run("""
        import multiprocessing

        def main():
            for method in ("fork", "spawn", "forkserver"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    tell(method, results=pool.map(abs, [-1, -2, -3]))
    """)
    assert summary.state is S.COMPLETE, (summary, bench.written(summary.id))
    for method in ("fork", "spawn", "forkserver"):
        assert bench.told(summary.id, method) == [{"results": [1, 2, 3]}]


def test_a_script_that_closes_all_descriptors_can_be_stopped(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            tell("here")
            os.closerange(0, 1000)
            forever()
    """)
    assert bench.stop(pid).state is S.STOPPED


def test_a_script_that_closes_all_descriptors_and_returns(bench: Bench) -> None:
    summary = bench.run("def main(): os.closerange(0, 1000)")
    assert summary.state is S.FAILED
    assert how(summary).cause == "exit_code"
    assert bench.run(NOOP).state is S.COMPLETE


def test_arguments_that_cannot_be_sent_end_the_procedure(bench: Bench) -> None:
    pid = bench.create(NOOP, "x" * (MAX_FRAME + 1))
    summary = bench.ended(pid)
    assert (summary.state, "LOAD could not be sent" in str(how(summary).message)) == (S.FAILED, True)
    assert len(summary.to_json()) < 20_000
    pid = bench.ready(NOOP)
    bench.start(pid, "x" * (MAX_FRAME + 1))
    summary = bench.ended(pid)
    assert (summary.state, "RUN could not be sent" in str(how(summary).message)) == (S.FAILED, True)
    assert bench.run(NOOP).state is S.COMPLETE


def test_a_script_that_writes_garbage_into_its_channel_fails(bench: Bench) -> None:
    summary = bench.run("""
        import socket, stat

        def main():
            for fd in range(3, 100):
                try:
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.write(fd, b"garbage" * 100)
                except OSError:
                    pass
            forever()
    """)
    assert summary.state is S.FAILED
    assert (how(summary).signal, how(summary).stopped_by) == (9, None)
    assert "channel" in str(how(summary).message)
    assert bench.run(NOOP).state is S.COMPLETE


FORGED = [
    ["1", "REPORT", {"kind": "state", "state": "COMPLETE"}],
    ["1", "REPORT", {"kind": "state", "state": "NONSENSE"}],
    ["1", "REPORT", 7],
    ["1", "PUBSUB", None],
    ["1", "PUBSUB", {"topic": 5, "data": 5}],
    ["1", "PUBSUB", {"topic": "test.x", "data": [1]}],
    ["1", "INTEREST", 5],
    ["1", "LOG", []],
    ["1", "NO_SUCH_TYPE", {}],
]


@pytest.mark.parametrize("message", FORGED, ids=str)
def test_a_forged_message_changes_nothing(bench: Bench, message: object) -> None:
    pid = bench.running(f"""
        import json, stat, struct

        def main():
            body = json.dumps({message!r}).encode()
            for fd in range(3, 100):
                try:
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.write(fd, struct.pack("!I", len(body)) + body)
                except OSError:
                    pass
            tell("here")
            forever()
    """)
    summary = bench.summary(pid)
    assert summary.state is S.RUNNING
    assert summary.to_json()
    assert bench.stop(pid).state is S.STOPPED


@pytest.mark.parametrize(
    "ending", [{"kind": "returned"}, {"kind": "left", "code": 0, "message": "sys.exit(0)"}]
)
def test_a_script_that_claims_to_have_ended_and_goes_on_has_not(bench: Bench, ending: object) -> None:
    source = FORGE + f"def main():\n    forge({ending!r})\n    tell('here', pid=os.getpid())\n    forever()"
    pid = bench.running(source)
    assert bench.summary(pid).state is S.RUNNING
    os.kill(bench.heard(pid, "here")["pid"], signal.SIGKILL)
    summary = bench.ended(pid)
    assert summary.state is S.FAILED
    assert (how(summary).cause, how(summary).signal) == ("signal", 9)
    assert "killed by signal 9 (SIGKILL); before that, " in str(how(summary).message)


@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL"])
def test_a_script_that_claims_to_have_ended_and_goes_on_until_it_is_stopped(bench: Bench, way: str) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if way == "SIGKILL" else "pass"
    main = f"def main():\n    {deaf}\n    forge({{'kind': 'returned'}})\n    tell('here')\n    forever()"
    pid = bench.running(FORGE + main)
    bench.grant(IMPATIENT if way == "SIGKILL" else PATIENT)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, way)


def test_a_script_changes_its_directory_and_environment_and_nobody_elses(bench: Bench) -> None:
    source = """
        import tempfile
        def init():
            tell("found", cwd=os.getcwd(), mark=os.environ.get("A_MARK"), path=sys.path[0])
            os.chdir("/")
            os.environ["A_MARK"] = "set"
            sys.path.insert(0, "/nowhere")
            os.umask(0)
            os.nice(5)
        def main(): pass
    """
    first, second = bench.run(source), bench.run(source)
    assert {first.state, second.state} == {S.COMPLETE}
    assert bench.told(first.id, "found") == bench.told(second.id, "found")
    assert os.environ.get("A_MARK") is None


def test_a_script_that_exhausts_its_memory_fails_and_says_so(bench: Bench) -> None:
    summary = bench.run("""
        import resource
        def main():
            size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + 100_000_000,) * 2)
            hoard = []
            while True:
                hoard.append(bytearray(1_000_000))
    """)
    assert summary.state is S.FAILED
    assert str(how(summary).message).startswith("MemoryError")
    assert bench.run(NOOP).state is S.COMPLETE


def test_a_script_that_lowers_its_limits_to_nothing(bench: Bench) -> None:
    summary = bench.run("""
        import resource
        def main():
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            while True:
                pass
    """)
    assert summary.state is S.FAILED
    assert how(summary).signal in (signal.SIGXCPU, signal.SIGKILL)


# ------------------------------------------------------------ the fork server


def test_a_dead_fork_server_is_replaced_and_its_workers_go_on(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0)
    source = "def init(subarray_id): pass\n" + WAITING
    stopped, killed, returning = (bench.running(source, subarray_id=number) for number in (1, 2, 3))
    returning = bench.ready(
        """
        def init(subarray_id): pass
        def main(): tell("value", n=7)
    """,
        subarray_id=4,
    )
    old = bench.fork_server
    os.kill(old, signal.SIGKILL)
    assert are_gone([old], DEADLINE)
    # What is asked for meanwhile is done by the next one.
    new = bench.ready(source, subarray_id=5)
    assert bench.fork_server != old
    os.kill(bench.heard(killed, "here")["pid"], signal.SIGKILL)
    assert (bench.ended(killed).state, how(bench.ended(killed)).signal) == (S.FAILED, 9)
    bench.start(returning)
    assert bench.ended(returning).state is S.COMPLETE
    assert bench.told(returning, "value") == [{"n": 7}]
    summary = bench.stop(stopped)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert are_gone([bench.heard(stopped, "here")["pid"]])
    assert bench.stop(new).state is S.STOPPED


def test_a_fork_server_that_cannot_be_started_is_tried_again(
    new_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = new_bench(spares=0)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/no/such/python")
        old = bench.fork_server
        os.kill(old, signal.SIGKILL)
        # The first one may still have been asked of the old fork server.
        ends = [bench.ended(bench.create(NOOP)) for _ in range(2)]
        assert {summary.state for summary in ends} == {S.FAILED}
        assert "no fork server: [Errno 2]" in str(how(ends[-1]).message)
    assert bench.run(NOOP).state is S.COMPLETE
    assert bench.fork_server != old


def test_procedures_beyond_the_descriptors_of_the_controller_fail_and_say_so(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench(spares=0, list_length=1000)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = psutil.Process().num_fds()
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, before[1]))
    try:
        path = bench.script(NOOP).as_uri()
        pids = [bench.load(path) for _ in range(40)]
        summaries = [bench.wait(pid, S.READY, S.FAILED) for pid in pids]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    failed = [summary for summary in summaries if summary.state is S.FAILED]
    assert 0 < len(failed) < 40
    assert {how(s).message for s in failed} == {
        "the process could not be made: [Errno 24] Too many open files"
    }
    bench.stop_all()
    assert bench.run(NOOP).state is S.COMPLETE


def test_a_fork_server_that_hangs_keeps_nothing_from_stopping(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=0, stop_grace_period=2.0)
    running = bench.running("def init(subarray_id): pass\n" + WAITING, subarray_id=1)
    hung = bench.fork_server
    os.kill(hung, signal.SIGSTOP)
    unforked = bench.create("def main(): pass")
    for pid in (running, unforked):
        bench.ask_stop(pid)
    assert bench.ended(running).state is S.STOPPED
    assert bench.ended(unforked).state is S.STOPPED
    # It was killed for that, and another one works.
    assert are_gone([hung], DEADLINE)
    assert bench.run("def main(): pass").state is S.COMPLETE


def test_an_engine_whose_fork_server_hangs_can_be_stopped(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench()
    bench.running("def init(subarray_id): pass\n" + WAITING, subarray_id=1)
    here = bench.fork_server
    os.kill(here, signal.SIGSTOP)
    bench.engine.stop()
    assert are_gone([here], DEADLINE)
