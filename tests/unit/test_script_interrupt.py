"""The interrupt of a script: raised once, and where it does the least harm. Signals are calls here."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.mptools import TerminateInterrupt
from ska_oso_oet.worker.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable


def a_new_interrupt() -> Interrupt:
    return Interrupt(lambda: None)


def test_it_is_raised_once() -> None:
    interrupt = a_new_interrupt()
    with pytest.raises(TerminateInterrupt):
        interrupt.arrive()
    interrupt.arrive()
    interrupt.insist()
    assert interrupt.came


def test_it_is_a_keyboard_interrupt_so_that_event_loops_let_it_pass() -> None:
    assert issubclass(TerminateInterrupt, KeyboardInterrupt)


def test_the_wake_signal_alone_is_none() -> None:
    interrupt = a_new_interrupt()
    interrupt.insist()
    assert not interrupt.came


def test_it_waits_for_what_it_would_spoil() -> None:
    interrupt, said = a_new_interrupt(), list[str]()

    def send() -> None:
        with interrupt.held():
            interrupt.arrive()
            interrupt.insist()
            said.append("whole")

    with pytest.raises(TerminateInterrupt):
        send()
    assert said == ["whole"]
    with interrupt.held():
        pass


def test_what_it_would_spoil_may_be_done_in_the_midst_of_it() -> None:
    interrupt, said = a_new_interrupt(), list[str]()

    def send() -> None:
        with interrupt.held():
            with interrupt.held():
                interrupt.arrive()
            said.append("whole")

    with pytest.raises(TerminateInterrupt):
        send()
    assert said == ["whole"]


def test_another_thread_holds_nothing_up() -> None:
    interrupt = a_new_interrupt()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with interrupt.held():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with pytest.raises(TerminateInterrupt):
        interrupt.arrive()
    leave.set()
    thread.join()


def test_it_is_not_raised_once_the_script_has_ended() -> None:
    interrupt = a_new_interrupt()
    interrupt.over()
    interrupt.arrive()
    interrupt.insist()


class Loop:
    """A task that a test makes do something, and what its coroutines say."""

    def __init__(self, in_a_task: Callable[[], None]) -> None:
        self.said: list[str] = []
        self.in_a_task = in_a_task

    async def task(self) -> None:
        try:
            self.in_a_task()
            self.said.append("went on")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.said.append("cancelled")
        except TerminateInterrupt:
            self.said.append("interrupted")
            raise

    async def main(self) -> None:
        started = asyncio.create_task(self.task())
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.said.append("main cleaned up")
            del started


def test_in_an_event_loop_it_is_what_ctrl_c_would_be() -> None:
    loop = Loop(a_new_interrupt().arrive)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(loop.main())
    assert loop.said == ["went on", "main cleaned up", "cancelled"]


def test_in_a_loop_that_does_not_prepare_for_ctrl_c_it_is_raised_between_two_steps() -> None:
    interrupt = a_new_interrupt()
    loop = Loop(interrupt.arrive)
    with contextlib.closing(asyncio.new_event_loop()) as bare:
        main = bare.create_task(loop.main())
        with pytest.raises(TerminateInterrupt):
            bare.run_until_complete(main)
        assert loop.said == ["went on"]
        for task in asyncio.all_tasks(bare):
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            bare.run_until_complete(main)
    assert loop.said == ["went on", "cancelled", "main cleaned up"]


def test_a_loop_that_turns_is_not_interrupted_again_while_it_cleans_up() -> None:
    interrupt = a_new_interrupt()
    said: list[str] = []

    async def main() -> None:
        interrupt.arrive()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            interrupt.insist()
            said.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert said == ["cleaned up"]


def test_what_it_waits_for_may_be_done_by_the_clean_up() -> None:
    interrupt = a_new_interrupt()
    said: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(interrupt.arrive)
        try:
            await asyncio.Event().wait()
        finally:
            with interrupt.held():
                said.append("sent")
            await asyncio.sleep(0)
            said.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert said == ["sent", "cleaned up"]


def test_a_loop_that_does_not_turn_is_interrupted_where_it_stands() -> None:
    interrupt = a_new_interrupt()

    def busy() -> None:
        interrupt.arrive()
        loop.said.append("busy")
        interrupt.insist()

    loop = Loop(busy)
    with pytest.raises(TerminateInterrupt):
        asyncio.run(loop.main())
    assert loop.said == ["busy", "interrupted", "main cleaned up"]


def test_in_a_loop_too_it_waits_for_what_it_would_spoil() -> None:
    interrupt = a_new_interrupt()

    def busy() -> None:
        with interrupt.held():
            interrupt.arrive()
            interrupt.insist()
            loop.said.append("whole")

    loop = Loop(busy)
    with pytest.raises(TerminateInterrupt):
        asyncio.run(loop.main())
    assert loop.said == ["whole", "interrupted", "main cleaned up"]


def test_whoever_must_hurry_is_told_each_time() -> None:
    told: list[int] = []
    interrupt = Interrupt(lambda: told.append(len(told)))
    interrupt.over()
    interrupt.arrive()
    interrupt.arrive()
    assert told == [0, 1]
