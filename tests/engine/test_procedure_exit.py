"""A script ends as `python script.py` would, within a deadline, and its end is told as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.engine.procedure_bench import Bench, S, are_gone, how

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE = """
    import atexit, os, pathlib, tempfile, threading, time, weakref

    FOLDER = pathlib.Path(os.environ.get("FOLDER", "."))

    class Closed:
        def __del__(self):
            print("del ran")

    def later():
        time.sleep(0.2)
        print("thread done")

    log = open("log.txt", "w")
    binary = open("log.bin", "wb")
    closed = Closed()
    temporary = tempfile.TemporaryDirectory(dir=".")
    atexit.register(print, "atexit ran")

    def main():
        log.write("scan 1\\n")
        binary.write(b"scan 2\\n")
        weakref.finalize(log, print, "finalizer ran")
        threading.Thread(target=later).start()
        print("main done")
"""


@pytest.fixture
def in_folder(bench: Bench) -> str:
    return f"import os; os.chdir({str(bench.folder)!r})\n"


def dedent(source: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in source.splitlines())


def test_buffers_threads_exit_functions_and_finalizers(bench: Bench, in_folder: str) -> None:
    path = bench.script(in_folder + dedent(WHOLE) + "\nif __name__ == '__main__':\n    main()\n")
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    for name in ("log.txt", "log.bin"):
        (bench.folder / name).unlink()
    pid = bench.load(path.as_uri())
    bench.wait(pid, S.READY)
    bench.start(pid)
    summary = bench.ended(pid)
    assert (summary.state, how(summary).code) == (S.COMPLETE, 0)
    assert bench.written(pid) == plain.stdout.splitlines()
    assert len(bench.written(pid)) == 5
    assert (bench.folder / "log.txt").read_text() == "scan 1\n"
    assert (bench.folder / "log.bin").read_text() == "scan 2\n"
    assert not [path for path in bench.folder.iterdir() if path.is_dir()]


@pytest.mark.parametrize("end", ["raise ValueError", "sys.exit(3)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_so_does_one_that_fails(bench: Bench, in_folder: str, end: str) -> None:
    summary = bench.run(in_folder + dedent(WHOLE) + f"\n    {end}\n")
    assert summary.state is S.FAILED
    assert {"thread done", "finalizer ran", "atexit ran"} < set(bench.written(summary.id))
    assert (bench.folder / "log.txt").read_text() == "scan 1\n"


def test_so_does_one_that_is_stopped(bench: Bench, in_folder: str) -> None:
    pid = bench.running(in_folder + dedent(WHOLE) + "\n    tell('here')\n    forever()\n")
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert {"thread done", "finalizer ran", "atexit ran"} < set(bench.written(pid))
    assert (bench.folder / "log.txt").read_text() == "scan 1\n"


def test_a_file_that_only_a_daemon_thread_knows_is_written(bench: Bench, in_folder: str) -> None:
    summary = bench.run(
        in_folder
        + dedent("""
    import threading

    def work(written):
        log = open("log.txt", "w")
        log.write("of a thread")
        written.set()
        forever()

    def main():
        written = threading.Event()
        threading.Thread(target=work, args=(written,), daemon=True).start()
        written.wait()
    """)
    )
    assert (summary.state, bench.written(summary.id)) == (S.COMPLETE, [])
    assert (bench.folder / "log.txt").read_text() == "of a thread"


def test_what_raises_at_the_end_is_shown_and_changes_nothing(bench: Bench) -> None:
    summary = bench.run("""
        import atexit, threading

        def fail(where):
            raise ValueError(where)

        def leave():
            raise SystemExit(7)

        class Bad:
            def __del__(self):
                raise ValueError("of an object")

        bad = Bad()
        atexit.register(print, "the first one is called")
        atexit.register(fail, "of atexit")
        atexit.register(leave)

        def main():
            threading.Thread(target=fail, args=("of a thread",)).start()
    """)
    assert (summary.state, how(summary).cause, how(summary).code) == (S.COMPLETE, "returned", 0)
    written = "\n".join(bench.written(summary.id))
    for line in ("the first one is called", "of atexit", "of a thread", "of an object"):
        assert line in written


def test_an_executor_s_work_is_done(bench: Bench) -> None:
    summary = bench.run("""
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)

        def work(n):
            time.sleep(0.1)
            tell("done", n=n)

        def main():
            for n in range(3):
                pool.submit(work, n)
    """)
    assert summary.state is S.COMPLETE
    assert [data["n"] for data in bench.told(summary.id, "done")] == [0, 1, 2]


def test_a_subarray_is_held_until_the_threads_have_ended(bench: Bench) -> None:
    pid = bench.running(
        """
        import threading
        go = threading.Event()

        def on_go():
            go.set()

        def later():
            tell("waits")
            go.wait()

        def init(subarray_id): pub.subscribe(on_go, "test.go")

        def main():
            threading.Thread(target=later).start()
            tell("here")
    """,
        subarray_id=1,
    )
    bench.heard(pid, "waits")
    assert bench.summary(pid).state is S.RUNNING
    assert bench.run("def init(subarray_id): pass\ndef main(): tell('go')", subarray_id=2).state is S.COMPLETE
    assert bench.ended(pid).state is S.COMPLETE


# ------------------------------------------------------------ in time

HANGS = {
    "thread": """
        import threading
        def main():
            threading.Thread(target=forever, name="poller").start()
    """,
    "executor": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1, thread_name_prefix="poller")
        def main():
            pool.submit(forever)
    """,
    "loop": """
        import asyncio
        async def main():
            asyncio.get_running_loop().run_in_executor(None, forever)
    """,
    "atexit": """
        import atexit
        atexit.register(forever)
        def main(): pass
    """,
    "object": """
        class Bad:
            def __del__(self):
                time.sleep(600)
        bad = Bad()
        def main(): pass
    """,
}
REST = """
        import atexit
        log = open("log.txt", "w")
        log.write("scan 1")
        atexit.register(print, "atexit ran")
"""


@pytest.fixture(scope="module")
def hasty_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("hasty")
    with Bench(folder, spares=0, exit_timeout=0.3, stop_grace_period=2.0) as bench:
        yield bench


@pytest.mark.parametrize("what", HANGS)
def test_what_does_not_end_is_left_told_and_no_success(hasty_bench: Bench, what: str) -> None:
    bench = hasty_bench
    summary = bench.run(f"import os; os.chdir({str(bench.folder)!r})\n" + dedent(dedent(REST + HANGS[what])))
    assert summary.state is S.FAILED
    assert how(summary).code == 1
    named = {"thread": "thread poller", "executor": "thread poller_0", "atexit": "a function of atexit"}
    named |= {"object": "the end of its objects", "loop": "thread asyncio_0"}
    message = str(how(summary).message)
    assert "not in time" in message
    assert named[what] in message
    assert any(named[what] in line for line in bench.written(summary.id))
    assert "atexit ran" in bench.written(summary.id)
    assert (bench.folder / "log.txt").read_text() == "scan 1"


def test_what_cannot_be_left_is_killed_and_told(hasty_bench: Bench) -> None:
    summary = hasty_bench.run("""
        import atexit, itertools
        atexit.register(lambda: sum(itertools.repeat(0)))  # never lets a handler of a signal run
        def main(): pass
    """)
    assert (summary.state, how(summary).signal) == (S.FAILED, signal.SIGKILL)
    assert "did not end within" in str(how(summary).message)


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_death_at_the_end_is_no_success(bench: Bench, death: str) -> None:
    summary = bench.run(f"""
        import atexit
        atexit.register(lambda: {death})
        def main(): pass
    """)
    assert summary.state is S.FAILED
    assert (how(summary).code, how(summary).signal) in {(3, None), (None, signal.SIGSEGV)}


def test_a_failure_keeps_its_own_words(hasty_bench: Bench) -> None:
    summary = hasty_bench.run("""
        import threading
        def main():
            threading.Thread(target=forever).start()
            raise ValueError("of main")
    """)
    assert (summary.state, how(summary).message) == (S.FAILED, "ValueError: of main")


@pytest.mark.parametrize("what", HANGS)
def test_a_stop_shortens_the_time_and_buffers_are_still_written(
    new_bench: Callable[..., Bench], what: str
) -> None:
    bench = new_bench(spares=0, exit_timeout=600.0, stop_grace_period=4.0)
    source = dedent(dedent(REST + HANGS[what])).replace(
        "def main():", "def main():\n    tell('here', pid=os.getpid())\n   "
    )
    pid = bench.running(f"import os; os.chdir({str(bench.folder)!r})\n" + source)
    worker = bench.heard(pid, "here")["pid"]
    bench.until(lambda: what != "thread" or bench.told(pid, "here"), lambda: "")
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert "atexit ran" in bench.written(pid)
    assert (bench.folder / "log.txt").read_text() == "scan 1"
    assert are_gone([worker])
