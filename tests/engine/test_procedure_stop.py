"""A stop always stops: in every live state, whatever the script does against it."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import NotReady, SubarrayBusy
from tests.engine.procedure_bench import IMPATIENT, Bench, S, are_gone, how, states_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COOPERATIVE = "def main():\n    tell('here', pid=os.getpid())\n    forever()"
STUBBORN = """
    def main():
        while True:
            try:
                tell("here", pid=os.getpid())
                forever()
            except BaseException:
                pass
"""


def stopped_by(bench: Bench, pid: int) -> str | None:
    summary = bench.stop(pid)
    assert summary.state is S.STOPPED
    assert how(summary).cause == "stopped"
    return how(summary).stopped_by


# ------------------------------------------------------------ in every state


def test_while_it_is_created(bench: Bench) -> None:
    pid = bench.create(COOPERATIVE)
    assert stopped_by(bench, pid) == "SIGTERM"


def test_many_while_they_are_created(bench: Bench) -> None:
    pids = [bench.create(COOPERATIVE) for _ in range(20)]
    for pid in pids:
        bench.ask_stop(pid)
    assert {bench.ended(pid).state for pid in pids} == {S.STOPPED}


def test_while_it_is_loaded(bench: Bench) -> None:
    pid = bench.create("tell('here')\nforever()\n" + COOPERATIVE)
    bench.heard(pid, "here")
    assert bench.summary(pid).state is S.LOADING
    assert stopped_by(bench, pid) == "SIGTERM"


def test_while_a_module_that_it_imports_is_loaded(bench: Bench) -> None:
    slow = "import time\nfrom pubsub import pub\npub.sendMessage('test.here')\ntime.sleep(600)"
    (bench.folder / "slow_import.py").write_text(slow)
    pid = bench.create("import slow_import\n" + COOPERATIVE)
    bench.heard(pid, "here")
    assert stopped_by(bench, pid) == "SIGTERM"


def test_while_it_initialises(bench: Bench) -> None:
    pid = bench.create("def init():\n    tell('here')\n    forever()\n" + COOPERATIVE)
    bench.heard(pid, "here")
    assert bench.summary(pid).state is S.INITIALISING
    assert stopped_by(bench, pid) == "SIGTERM"


def test_while_it_is_ready(bench: Bench) -> None:
    assert stopped_by(bench, bench.ready(COOPERATIVE)) == "SIGTERM"


def test_while_it_runs(bench: Bench) -> None:
    pid = bench.running(COOPERATIVE)
    worker = bench.heard(pid, "here")["pid"]
    assert stopped_by(bench, pid) == "SIGTERM"
    assert are_gone([worker])
    assert states_of(bench.summary(pid))[-2:] == [S.RUNNING, S.STOPPED]


# ------------------------------------------------------------ with the script's help


def test_finally_blocks_and_context_managers_run(bench: Bench) -> None:
    pid = bench.running("""
        import atexit, contextlib

        @contextlib.contextmanager
        def allocated():
            try:
                yield
            finally:
                tell("released")

        def main():
            try:
                with allocated():
                    tell("here")
                    forever()
            finally:
                tell("finally")
    """)
    assert stopped_by(bench, pid) == "SIGTERM"
    assert bench.told(pid, "released") == [{}]
    assert bench.told(pid, "finally") == [{}]


def test_a_script_that_raises_while_it_cleans_up_is_stopped_and_says_so(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            try:
                tell("here")
                forever()
            finally:
                raise ValueError("no beam to park")
    """)
    summary = bench.stop(pid)
    assert summary.state is S.STOPPED
    assert how(summary).message == "raised while it cleaned up: ValueError: no beam to park"
    assert "in main" in str(summary.history.stacktrace)


def test_a_script_that_ignores_the_interrupt_and_returns_is_stopped(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            tell("here")
            try:
                forever()
            except BaseException:
                pass
    """)
    assert stopped_by(bench, pid) == "SIGTERM"


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("lambda *_: done.set()", "main returned"),
        ("lambda *_: sys.exit(0)", "the script called sys.exit(0)"),
        ("lambda *_: sys.exit(3)", "the script called sys.exit(3)"),
        ("lambda *_: 1 / 0", "ZeroDivisionError: division by zero"),
        ("lambda *_: os._exit(0)", "the process ended with exit code 0 before the script had returned"),
        ("signal.SIG_DFL", "killed by signal 15 (SIGTERM)"),
        ("signal.default_int_handler", None),
    ],
)
def test_a_script_that_takes_the_signal_itself_is_stopped_and_its_record_says_what_it_did(
    bench: Bench, handler: str, message: str | None
) -> None:
    pid = bench.running(f"""
        import threading
        done = threading.Event()
        def main():
            signal.signal(signal.SIGTERM, {handler})
            tell("here")
            while not done.wait(0.01):
                pass
    """)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert how(summary).message == message
    assert how(summary).code != 0


def test_the_handler_of_a_script_is_called_once_so_that_its_clean_up_is_not_disturbed(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            try:
                tell("here")
                forever()
            finally:
                time.sleep(0.3)
                tell("cleaned")
    """)
    bench.stop(pid)
    assert bench.told(pid, "cleaned") == [{}]


def test_a_script_may_have_the_interrupt_raised_by_a_handler_of_its_own(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            before = signal.getsignal(signal.SIGTERM)

            def handle(*args):
                tell("mine")
                before(*args)

            signal.signal(signal.SIGTERM, handle)
            tell("here")
            forever()
    """)
    assert stopped_by(bench, pid) == "SIGTERM"
    assert how(bench.summary(pid)).message is None
    assert bench.told(pid, "mine") == [{}]


def test_a_script_that_waits_for_the_signal_is_stopped_by_it(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            tell("here")
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            signal.sigwait([signal.SIGTERM])
    """)
    assert stopped_by(bench, pid) == "SIGTERM"


# ------------------------------------------------------------ against its will


def test_a_script_that_swallows_everything(bench: Bench) -> None:
    pid = bench.running(STUBBORN)
    worker = bench.heard(pid, "here")["pid"]
    bench.grant(IMPATIENT)
    summary = bench.stop(pid)
    assert summary.state is S.STOPPED
    assert (how(summary).stopped_by, how(summary).signal) == ("SIGKILL", signal.SIGKILL)
    assert how(summary).code is None
    assert "its clean-up was cut off" in str(how(summary).message)
    assert are_gone([worker])


@pytest.mark.parametrize(
    "defence",
    [
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.signal(signal.SIGTERM, lambda *_: None)",
        "signal.pthread_sigmask(signal.SIG_SETMASK, range(1, signal.NSIG))",
    ],
)
def test_a_script_that_is_deaf_to_signals(bench: Bench, defence: str) -> None:
    pid = bench.running(f"""
        def main():
            {defence}
            tell("here")
            forever()
    """)
    bench.grant(IMPATIENT)
    assert stopped_by(bench, pid) == "SIGKILL"


def test_a_script_that_holds_the_interpreter_in_c(bench: Bench) -> None:
    pid = bench.running("""
        import itertools
        def main():
            while True:
                try:
                    tell("here")
                    sum(itertools.repeat(0))  # never looks at signals, nor lets another thread run
                except BaseException:
                    pass
    """)
    bench.grant(IMPATIENT)
    assert stopped_by(bench, pid) == "SIGKILL"


def test_a_worker_that_is_halted(bench: Bench) -> None:
    pid = bench.running(COOPERATIVE)
    os.kill(bench.heard(pid, "here")["pid"], signal.SIGSTOP)
    assert stopped_by(bench, pid) == "SIGTERM"


def test_a_script_that_waits_for_a_thread(bench: Bench) -> None:
    bench.grant(4.0)  # of which the thread gets half
    pid = bench.running("""
        import threading
        def main():
            tell("here")
            thread = threading.Thread(target=forever)
            thread.start()
            thread.join()
    """)
    assert stopped_by(bench, pid) == "SIGTERM"


# ------------------------------------------------------------ with all that it started

FAMILY = """
    import subprocess

    def sleeper(session):
        return subprocess.Popen(["sleep", "600"], start_new_session=session).pid

    def chain(depth):
        # Each in a session of its own, each the child of the one before.
        code = "import os, sys, subprocess, time\\nif int(sys.argv[1]):\\n"
        code += "    argv = [sys.executable, '-c', sys.argv[2], str(int(sys.argv[1]) - 1), sys.argv[2]]\\n"
        code += "    subprocess.Popen(argv, start_new_session=True)\\n"
        code += "print(os.getpid(), flush=True)\\ntime.sleep(600)\\n"
        first = subprocess.Popen(
            [sys.executable, "-c", code, str(depth), code], start_new_session=True, stdout=subprocess.PIPE
        )
        return [int(first.stdout.readline()) for _ in range(depth + 1)]

    def orphan():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if (pid := os.fork()) == 0:
                time.sleep(600)
            os.write(writer, str(pid).encode())
            os._exit(0)
        os.wait()
        return int(os.read(reader, 100))

    def main(then="forever"):
        pids = [sleeper(False), sleeper(True), orphan(), *chain(3)]
        tell("here", pids=[*pids, os.getpid()])
        if then == "forever":
            forever()
        if then == "raise":
            raise ValueError
"""


@pytest.mark.parametrize(
    ("then", "end"), [("forever", S.STOPPED), ("return", S.COMPLETE), ("raise", S.FAILED), ("kill", S.FAILED)]
)
def test_nothing_that_a_script_started_is_left(bench: Bench, then: str, end: S) -> None:
    pid = bench.ready(FAMILY)
    bench.start(pid, "forever" if then == "kill" else then)
    pids = bench.heard(pid, "here")["pids"]
    assert len(set(pids)) == 8
    if then == "kill":
        os.kill(pids[-1], signal.SIGKILL)
    summary = bench.stop(pid) if then == "forever" else bench.ended(pid)
    assert summary.state is end
    # The end is told when the last of them is gone, not before.
    assert are_gone(pids)


def test_a_process_that_is_set_free_and_writes_without_end_holds_nothing_up(bench: Bench) -> None:
    pid = bench.ready("""
        import subprocess
        def main():
            pid = subprocess.Popen(["yes"], start_new_session=True).pid
            tell("here", pids=[pid, os.getpid()])
    """)
    bench.start(pid)
    pids = bench.heard(pid, "here")["pids"]
    assert bench.ended(pid).state is S.COMPLETE
    assert are_gone(pids)


def test_one_script_end_leaves_the_children_of_another(bench: Bench) -> None:
    source = """
        import subprocess
        def init(subarray_id): pass
        def main():
            tell("here", pid=subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
            forever()
    """
    one, other = bench.running(source, subarray_id=1), bench.running(source, subarray_id=2)
    bench.stop(one)
    assert are_gone([bench.heard(one, "here")["pid"]])
    assert not are_gone([bench.heard(other, "here")["pid"]])


# ------------------------------------------------------------ several stops


def test_a_stop_joins_a_stop(bench: Bench) -> None:
    bench.grant(IMPATIENT)
    pid = bench.running(STUBBORN)
    for _ in range(5):
        bench.ask_stop(pid)
    assert bench.ended(pid).state is S.STOPPED
    with pytest.raises(NotReady, match="has ended already: it is STOPPED"):
        bench.ask_stop(pid)


def test_stops_from_many_threads(bench: Bench) -> None:
    pid = bench.running(COOPERATIVE)
    refused: list[Exception] = []

    def ask() -> None:
        try:
            bench.ask_stop(pid)
        except NotReady as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.ended(pid).state is S.STOPPED
    assert len(refused) < 10


def test_what_is_being_stopped_does_not_start(bench: Bench) -> None:
    bench.grant(IMPATIENT)
    pid = bench.ready("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + COOPERATIVE)
    bench.ask_stop(pid)
    with pytest.raises(NotReady, match=f"procedure {pid} is being stopped"):
        bench.start(pid)
    assert S.RUNNING not in states_of(bench.ended(pid))


# ------------------------------------------------------------ exclusivity

ON_A_SUBARRAY = "def init(**kwargs): pass\n" + COOPERATIVE


def test_a_subarray_is_held_by_one_and_the_refusal_names_it(bench: Bench) -> None:
    holder = bench.running(ON_A_SUBARRAY, subarray_id=1)
    second = bench.ready(ON_A_SUBARRAY, subarray_id=1)
    with pytest.raises(SubarrayBusy, match=f"procedure {holder}, which is RUNNING, holds subarray 1"):
        bench.start(second)
    assert bench.summary(second).state is S.READY
    bench.stop(holder)
    bench.start(second)
    bench.heard(second, "here")


def test_other_subarrays_are_free(bench: Bench) -> None:
    for subarray_id in (1, 2, 3):
        bench.running(ON_A_SUBARRAY, subarray_id=subarray_id)


def test_one_without_a_subarray_excludes_all(bench: Bench) -> None:
    holder = bench.running(COOPERATIVE)
    other = bench.ready(ON_A_SUBARRAY, subarray_id=1)
    with pytest.raises(SubarrayBusy, match=f"procedure {holder}, which is RUNNING, holds everything"):
        bench.start(other)
    bench.stop(holder)
    bench.start(other)
    with pytest.raises(SubarrayBusy, match=f"procedure {other}, which is RUNNING, holds subarray 1"):
        bench.start(bench.ready(COOPERATIVE))


def test_global_exclusivity(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(exclusivity="global")
    holder = bench.running(ON_A_SUBARRAY, subarray_id=1)
    other = bench.ready(ON_A_SUBARRAY, subarray_id=2)
    with pytest.raises(SubarrayBusy, match=f"procedure {holder}"):
        bench.start(other)


def test_a_subarray_is_held_until_the_stop_is_confirmed(bench: Bench) -> None:
    bench.grant(IMPATIENT)
    holder = bench.running("def init(subarray_id): pass\n" + textwrap.dedent(STUBBORN), subarray_id=1)
    second = bench.ready(ON_A_SUBARRAY, subarray_id=1)
    bench.ask_stop(holder)
    with pytest.raises(SubarrayBusy, match=f"procedure {holder}"):
        bench.start(second)
    bench.ended(holder)
    bench.start(second)


def test_the_subarray_that_a_start_names_counts(bench: Bench) -> None:
    source = "def main(**kwargs):\n    tell('here')\n    forever()"
    holder, second = bench.ready(source), bench.ready(source)
    bench.start(holder, subarray_id=7)
    assert bench.summary(holder).subarray_id == 7
    with pytest.raises(SubarrayBusy, match="holds subarray 7"):
        bench.start(second, subarray_id=7)
    third = bench.ready(source)
    bench.start(third, subarray_id=8)
    bench.heard(third, "here")


def test_many_are_ready_at_once(bench: Bench) -> None:
    pids = [bench.create(ON_A_SUBARRAY, subarray_id=1) for _ in range(32)]
    for pid in pids:
        bench.wait(pid, S.READY)
    assert {bench.summary(pid).state for pid in pids} == {S.READY}


# ------------------------------------------------------------ the end of the service

SLOW_CLEANUP = """
    def init(subarray_id): pass
    def main(path, seconds):
        try:
            tell("here")
            forever()
        finally:
            time.sleep(seconds)
            open(path, "w").close()
"""
WAITING = """
    def init(subarray_id): pass
    def main():
        tell("here")
        forever()
"""


def test_scripts_have_their_grace_period_when_the_engine_stops(
    new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = new_bench(stop_grace_period=30.0)
    cleaned_up = tmp_path / "cleaned up"
    pid = bench.ready(SLOW_CLEANUP, subarray_id=1)
    # Longer than the context itself would wait.
    bench.start(pid, str(cleaned_up), bench.engine.context.STOP_WAIT_SECS + 1.0)
    bench.heard(pid, "here")
    bench.engine.stop()
    summary = bench.ended(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert cleaned_up.exists()


@pytest.mark.parametrize("wanted", [False, True])
def test_the_end_of_the_engine_aborts_subarrays_if_it_is_to(
    new_bench: Callable[..., Bench], tmp_path: Path, *, wanted: bool
) -> None:
    aborted = tmp_path / "aborted"
    abort = tmp_path / "abort.py"
    abort.write_text(f"def init(subarray_id): pass\ndef main():\n    open({str(aborted)!r}, 'w').close()\n")
    bench = new_bench(abort_on_shutdown=wanted, abort_script=abort.as_uri(), stop_grace_period=5.0)
    pid = bench.running(WAITING, subarray_id=1)
    bench.engine.stop()
    assert bench.ended(pid).state is S.STOPPED
    assert aborted.exists() is wanted
