"""Processes that a script starts by fork and by multiprocessing do what they do for `python script.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.procedure.commands import PrepareProcessCommand
from tests.engine.procedure_bench import PRELUDE, Bench, S, how

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import ProcedureSummary

METHODS = ["fork", "spawn", "forkserver"]
POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

class Point:
    def __init__(self, x):
        self.x = x

def square(point):
    return Point(point.x ** 2)

def squares(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return [type(point) is Point and point.x for point in pool.map(square, [Point(2), Point(3)])]

def main(method):
    print("main")
    tell("squares", found=squares(method))
    with multiprocessing.get_context(method).Pool(1) as pool:
        tell("nested", found=pool.apply(len, ["four"]))

if __name__ == "__main__":
    main("fork")
"""


def lines(bench: Bench, pid: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bench.procedures.output(pid, 0))["lines"]
    return found


def complete(bench: Bench, pid: int) -> ProcedureSummary:
    summary = bench.ended(pid)
    assert summary.state is S.COMPLETE, f"{summary} wrote {bench.written(pid)}"
    return summary


@pytest.mark.parametrize("method", METHODS)
def test_functions_and_classes_of_a_script_are_found_in_its_pools(bench: Bench, method: str) -> None:
    pid = bench.ready(POOL)
    bench.start(pid, method)
    complete(bench, pid)
    assert bench.told(pid, "squares") == [{"found": [4, 9]}]
    assert bench.told(pid, "nested") == [{"found": 4}]
    assert bench.written(pid) == ["main"]


@pytest.mark.parametrize("method", METHODS)
def test_those_of_a_script_in_a_request_are_found_too(bench: Bench, method: str) -> None:
    script = {"script_type": "embedded", "script_source": PRELUDE + POOL, "script_name": "quick look"}
    pid = bench.procedures.prepare(PrepareProcessCommand.parse({"script": script})).id
    bench.wait(pid, S.READY)
    bench.start(pid, method)
    complete(bench, pid)
    assert bench.told(pid, "squares") == [{"found": [4, 9]}]


def test_a_process_that_a_pool_started_can_start_its_own(bench: Bench) -> None:
    pid = bench.ready("""
        import multiprocessing

        def leaf(n, results):
            results.put(n + 1)

        def branch(n, results):
            process = multiprocessing.get_context("spawn").Process(target=leaf, args=(n + 1, results))
            process.start()
            process.join()

        def main():
            results = multiprocessing.get_context("spawn").Queue()
            process = multiprocessing.get_context("spawn").Process(target=branch, args=(1, results))
            process.start()
            tell("found", n=results.get())
            process.join()
    """)
    bench.start(pid)
    complete(bench, pid)
    assert bench.told(pid, "found") == [{"n": 3}]


def test_a_script_is_what_its_process_runs(bench: Bench) -> None:
    pid = bench.run("""
        import __main__
        def main(): tell("found", name=__name__, argv=sys.argv, file=__file__, main=__main__.main is main)
    """).id
    (found,) = bench.told(pid, "found")
    assert found == {"name": "observing_script", "argv": [found["file"]], "file": found["file"], "main": True}


# ------------------------------------------------------------ logging


def test_records_of_a_forked_process_arrive(bench: Bench) -> None:
    pid = bench.run("""
        import logging
        def main():
            logging.warning("parent")
            if os.fork() == 0:
                logging.warning("child")
                logging.getLogger("deep").info("x" * 1_000_000)
                os._exit(0)
            os.wait()
    """).id
    found = [(line["stream"], line["level"], line["text"]) for line in lines(bench, pid)]
    assert found[:2] == [("log", "WARNING", "root: parent"), ("log", "WARNING", "root: child")]
    assert found[2] == ("log", "INFO", "deep: " + "x" * (len(found[2][2]) - 6))


def test_records_of_many_processes_arrive_whole(bench: Bench) -> None:
    pid = bench.run("""
        import logging, multiprocessing

        def work(n):
            for step in range(50):
                logging.info("%d:%d:%s", n, step, "x" * 2000)

        def main():
            with multiprocessing.get_context("fork").Pool(4) as pool:
                pool.map(work, range(8), chunksize=1)
    """).id
    texts = [line["text"] for line in lines(bench, pid) if line["stream"] == "log"]
    expected = {f"root: {n}:{step}:{'x' * 2000}" for n in range(8) for step in range(50)}
    assert (set(texts), len(texts)) == (expected, 400)


def test_records_of_a_forked_process_arrive_while_the_script_is_busy(bench: Bench) -> None:
    pid = bench.running("""
        import logging
        def main():
            if os.fork() == 0:
                logging.warning("child")
                forever()
            tell("here")
            forever()
    """)
    bench.until(lambda: "root: child" in bench.written(pid), lambda: f"{bench.written(pid)}")


# ------------------------------------------------------------ signals


@pytest.mark.parametrize("method", METHODS)
def test_a_process_is_terminated_as_in_any_program(bench: Bench, method: str) -> None:
    pid = bench.ready("""
        import multiprocessing, time
        def main(method):
            context = multiprocessing.get_context(method)
            process = context.Process(target=time.sleep, args=(600,))
            process.start()
            process.terminate()
            process.join()
            tell("code", code=process.exitcode)
            pool = context.Pool(2)
            pool.map(abs, [1, 2])
            pool.terminate()
            pool.join()
    """)
    bench.start(pid, method)
    complete(bench, pid)
    assert bench.told(pid, "code") == [{"code": -15}]
    assert bench.written(pid) == []


def test_a_handler_of_the_script_s_own_is_inherited(bench: Bench) -> None:
    pid = bench.run("""
        def main():
            ours = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
            signal.signal(signal.SIGUSR1, lambda *_: os._exit(8))
            codes = []
            for signum in (signal.SIGTERM, signal.SIGUSR1):
                if (child := os.fork()) == 0:
                    os.kill(os.getpid(), signum)
                    os._exit(0)
                codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            if (child := os.fork()) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            tell("codes", codes=codes)
    """).id
    assert bench.told(pid, "codes") == [{"codes": [7, 8]}]


def test_what_a_listener_starts_can_be_terminated(bench: Bench) -> None:
    pid = bench.ready("""
        import subprocess

        def on_word(n):
            process = subprocess.Popen(["sleep", "600"])
            process.terminate()
            tell("ended", code=process.wait())

        def init(): pub.subscribe(on_word, "test.word")
        def main(): pass
    """)
    assert bench.run("def main(): tell('word', n=1)").state is S.COMPLETE
    assert bench.heard(pid, "ended")["code"] == -15


def test_the_engine_s_exception_is_not_raised_in_a_forked_process(bench: Bench) -> None:
    summary = bench.run("""
        def main():
            if (child := os.fork()) == 0:
                time.sleep(600)
            os.kill(child, signal.SIGTERM)
            tell("status", status=os.waitpid(child, 0)[1])
    """)
    assert (summary.state, how(summary).message) == (S.COMPLETE, None)
    assert bench.told(summary.id, "status") == [{"status": 15}]
