"""Scripts that run an event loop: they are run to their end, and a stop reaches all of their coroutines."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.engine.procedure_bench import IMPATIENT, Bench, S, how, only_user_frames, states_of

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import ProcedureSummary

NOOP = "def main(): pass"


@pytest.mark.parametrize("function", ["init", "main"])
def test_a_coroutine_function_is_run(bench: Bench, function: str) -> None:
    other = "" if function == "main" else NOOP
    summary = bench.run(f"""
        import asyncio
        async def {function}():
            await asyncio.sleep(0)
            tell("ran")
        {other}
    """)
    assert summary.state is S.COMPLETE
    assert bench.told(summary.id, "ran") == [{}]


@pytest.mark.parametrize("function", ["def main(): yield", "async def main(): yield"])
def test_a_generator_is_refused_when_it_is_loaded(bench: Bench, function: str) -> None:
    summary = bench.run(function)
    assert states_of(summary)[-2:] == [S.LOADING, S.FAILED]
    assert "main is a generator, of which a call runs nothing" in str(how(summary).message)
    assert summary.history.stacktrace is None


def test_what_a_coroutine_raises_shows_the_users_frames_only(bench: Bench) -> None:
    summary = bench.run("""
        import asyncio
        async def deeper():
            await asyncio.sleep(0)
            raise ValueError("no beam")
        async def main(): await deeper()
    """)
    assert (summary.state, how(summary).message) == (S.FAILED, "ValueError: no beam")
    assert only_user_frames(summary.history.stacktrace, bench.folder)


# ------------------------------------------------------------ stops

CLEANING = """
    import asyncio

    async def background(name, awaits=1):
        try:
            await asyncio.sleep(600)
        finally:
            for _ in range(awaits):
                await asyncio.sleep(0.01)
            tell(name)

    async def busy():
        while True:
            time.sleep(0.02)
            await asyncio.sleep(0)

    async def hog():
        while True:
            time.sleep(0.02)

    def callback(loop):
        time.sleep(0.02)
        loop.call_soon(callback, loop)

    async def again():
        asyncio.get_running_loop().call_soon(callback, asyncio.get_running_loop())
        await asyncio.sleep(600)
"""
TASK = """
    async def run(other):
        tasks = [asyncio.create_task(each) for each in (background("task"), other())]
        tell("here")
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            tell("main")
"""
GROUP = """
    async def run(other):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(background("task"))
                await asyncio.sleep(0)
                group.create_task(other())
                tell("here")
                await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0.05)
            tell("main")
"""
ANYIO = """
    import anyio

    async def run(other):
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(background, "task", 0)
                await anyio.sleep(0.01)
                group.start_soon(other)
                tell("here")
                await anyio.sleep(600)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            tell("main")
"""
CALLS = {
    "asyncio.run": "def main(): asyncio.run(run({other}))",
    "Runner": "def main():\n    with asyncio.Runner() as runner:\n        runner.run(run({other}))",
    "async main": "async def main(): await run({other})",
}


def stopped(bench: Bench, body: str, call: str, other: str) -> ProcedureSummary:
    source = "\n".join([dedent(CLEANING), dedent(body), call.format(other=other)])
    pid = bench.running(source)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM"), bench.written(pid)
    assert how(summary).message is None
    assert how(summary).code != 0
    assert bench.told(pid, "main") == [{}]
    return summary


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [TASK, GROUP], ids=["task", "group"])
@pytest.mark.parametrize("other", ["busy", "again", "hog"])
def test_a_stop_reaches_the_coroutines(bench: Bench, body: str, call: str, other: str) -> None:
    summary = stopped(bench, body, CALLS[call], other)
    assert bench.told(summary.id, "task") == [{}]


@pytest.mark.parametrize("call", ["def main(): anyio.run(run, {other})", CALLS["async main"]])
@pytest.mark.parametrize("other", ["busy", "again", "hog"])
def test_a_stop_reaches_tasks_of_anyio(bench: Bench, call: str, other: str) -> None:
    summary = stopped(bench, ANYIO, call, other)
    assert bench.told(summary.id, "task") == [{}]


def test_a_stop_interrupts_the_main_coroutine_that_never_awaits(bench: Bench) -> None:
    pid = bench.running("""
        async def main():
            try:
                tell("here")
                forever()
            finally:
                tell("main")
    """)
    assert how(bench.stop(pid)).stopped_by == "SIGTERM"
    assert bench.told(pid, "main") == [{}]


def test_a_coroutine_that_publishes_without_end_is_interrupted(bench: Bench) -> None:
    pid = bench.running("""
        async def main():
            tell("here")
            while True:
                tell("flood")
    """)
    assert how(bench.stop(pid)).stopped_by == "SIGTERM"


def test_what_an_async_main_raises_while_it_cleans_up_is_told(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio
        async def main():
            try:
                tell("here")
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(0.01)
                raise ValueError("no beam to park")
    """)
    summary = bench.stop(pid)
    assert summary.state is S.STOPPED
    assert how(summary).message == "raised while it cleaned up: ValueError: no beam to park"


def test_a_second_stop_does_not_disturb_the_clean_up(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio
        async def main():
            try:
                tell("here")
                await asyncio.sleep(600)
            finally:
                tell("cleaning")
                await asyncio.sleep(0.3)
                tell("cleaned")
    """)
    bench.ask_stop(pid)
    bench.heard(pid, "cleaning")
    bench.stop(pid)
    assert bench.told(pid, "cleaned") == [{}]


def test_a_handler_of_the_loop_takes_the_stop_once(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio
        async def run():
            stop = asyncio.Event()

            def asked():
                tell("asked")
                stop.set()

            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked)
            tell("here")
            await stop.wait()
            await asyncio.sleep(0.3)
            tell("cleaned")
        def main():
            asyncio.run(run())
            time.sleep(0.2)
            tell("returned")
    """)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).stopped_by) == (S.STOPPED, "SIGTERM")
    assert how(summary).message == "main returned"
    assert [bench.told(pid, word) for word in ("asked", "cleaned", "returned")] == [[{}]] * 3


def test_a_coroutine_that_swallows_its_cancellation_is_killed(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio
        async def main():
            tell("here")
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    pass
    """)
    bench.grant(IMPATIENT)
    assert how(bench.stop(pid)).stopped_by == "SIGKILL"


def test_an_executor_of_threads_does_not_swallow_the_stop(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio, concurrent.futures, threading
        leave = threading.Event()
        def main():
            with concurrent.futures.ThreadPoolExecutor() as pool:
                future = pool.submit(leave.wait)
                try:
                    tell("here")
                    future.result()
                finally:
                    leave.set()
                    tell("main")
    """)
    assert how(bench.stop(pid)).stopped_by == "SIGTERM"
    assert bench.told(pid, "main") == [{}]


def test_a_thread_that_a_coroutine_waits_for_does_not_swallow_the_stop(bench: Bench) -> None:
    pid = bench.running("""
        import asyncio, threading
        leave = threading.Event()
        async def main():
            try:
                tell("here")
                await asyncio.to_thread(leave.wait)
            finally:
                leave.set()
                tell("main")
    """)
    assert how(bench.stop(pid)).stopped_by == "SIGTERM"
    assert bench.told(pid, "main") == [{}]


@pytest.mark.parametrize("caught", ["Exception", "SystemExit", "(ValueError, OSError)"])
def test_who_catches_other_things_does_not_catch_the_stop(bench: Bench, caught: str) -> None:
    pid = bench.running(f"""
        def main():
            while True:
                try:
                    tell("here")
                    forever()
                except {caught}:
                    pass
    """)
    assert how(bench.stop(pid)).stopped_by == "SIGTERM"


def test_who_catches_ctrl_c_has_caught_the_stop(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            try:
                tell("here")
                forever()
            except KeyboardInterrupt:
                tell("main")
    """)
    summary = bench.stop(pid)
    assert (summary.state, how(summary).message) == (S.STOPPED, "main returned")
    assert bench.told(pid, "main") == [{}]
