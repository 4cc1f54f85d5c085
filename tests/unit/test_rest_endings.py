"""Waiting for long running commands on the event loop: by what the controller tells, without a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from ska_oso_oet.client.inbox import QUIET_TIME
from ska_oso_oet.client.waiting import CommandResult
from ska_oso_oet.errors import ControllerUnreachable, WaitTimeout
from ska_oso_oet.rest.calls import Calls
from ska_oso_oet.rest.command_waits import CommandWaits
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ska_oso_oet.client.tango_controller import TangoController

DEADLINE = 20.0
DONE = CommandResult(ResultCode.OK, "done")


class FakeController:
    """Has commands that end when they have been asked for some times; tells news at each question."""

    def __init__(self, questions: int, *, tells: bool = True) -> None:
        self.left = {"a": questions, "b": questions}
        self.tells = tells
        self.away = 0
        self.silent = 0
        self.watchers: list[Callable[[Any], None]] = []
        self.link = self

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> object:
        assert attribute == "_lrcEvent"
        if self.away:
            self.away -= 1
            raise ControllerUnreachable("away")
        self.watchers.append(deliver)
        return None

    def result(self, command_id: str) -> CommandResult | None:
        if self.silent:
            self.silent -= 1
            raise ControllerUnreachable("restarting")
        self.left[command_id] -= 1
        for deliver in self.watchers if self.tells else ():
            deliver((command_id, '{"status": 5, "result": [0, "done"]}'))
        return DONE if self.left[command_id] < 0 else None


def run(
    controller: FakeController,
    scenario: Callable[[CommandWaits], Awaitable[Any]],
    quiet_time: float = QUIET_TIME,
) -> Any:
    calls = Calls()
    endings = CommandWaits(cast("TangoController", controller), calls, quiet_time=quiet_time)

    async def within_the_deadline() -> Any:
        return await asyncio.wait_for(scenario(endings), DEADLINE)

    try:
        return asyncio.run(within_the_deadline())
    finally:
        calls.close()


def test_news_of_ends_are_a_reason_to_ask() -> None:
    """With a quiet time before each question, this would take many times the deadline."""
    controller = FakeController(questions=50)
    assert run(controller, lambda endings: endings.of("a", DEADLINE)) == DONE
    assert controller.left["a"] == -1


def test_commands_share_a_subscription() -> None:
    controller = FakeController(questions=3)

    async def both(endings: CommandWaits) -> Any:
        return await asyncio.gather(endings.of("a", DEADLINE), endings.of("b", DEADLINE))

    assert run(controller, both) == [DONE, DONE]
    assert len(controller.watchers) == 1


def test_requests_share_a_command() -> None:
    controller = FakeController(questions=3)

    async def all_of_them(endings: CommandWaits) -> Any:
        return await asyncio.gather(*(endings.of("a", DEADLINE) for _ in range(4)))

    assert run(controller, all_of_them) == [DONE] * 4


def test_who_gives_up_takes_nothing_from_others() -> None:
    controller = FakeController(questions=50)

    controller.left["b"] = 0

    async def both(endings: CommandWaits) -> Any:
        await endings.of("b", DEADLINE)  # the subscription is there
        first = asyncio.ensure_future(endings.of("a", DEADLINE))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(endings.of("a", DEADLINE))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert run(controller, both) == DONE


def test_an_end_wakes_who_waits_for_it_alone() -> None:
    controller = FakeController(questions=3)
    controller.left["b"] = 9

    async def both(endings: CommandWaits) -> Any:
        waits = asyncio.ensure_future(endings.of("b", DEADLINE))
        for _ in range(3):
            await endings.of("a", DEADLINE)
        waits.cancel()

    run(controller, both)
    assert controller.left["b"] >= 0


def test_an_end_that_is_not_told_is_found() -> None:
    controller = FakeController(questions=1, tells=False)
    assert run(controller, lambda endings: endings.of("a", DEADLINE), quiet_time=0.01) == DONE


def test_an_end_that_does_not_come() -> None:
    with pytest.raises(WaitTimeout):
        run(FakeController(questions=9, tells=False), lambda endings: endings.of("a", 0))


def test_a_subscription_that_failed_is_made_by_the_next() -> None:
    controller = FakeController(questions=0)
    controller.away = 1

    async def twice(endings: CommandWaits) -> Any:
        with pytest.raises(ControllerUnreachable):
            await endings.of("a", DEADLINE)
        return await endings.of("a", DEADLINE)

    assert run(controller, twice) == DONE
    assert len(controller.watchers) == 1


def test_a_controller_that_is_started_again_meanwhile_is_waited_for() -> None:
    controller = FakeController(1)
    controller.silent = 3
    assert run(controller, lambda endings: endings.of("a", DEADLINE), quiet_time=0.01) == DONE
