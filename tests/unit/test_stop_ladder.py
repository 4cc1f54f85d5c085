"""The stop of a process that is made while it is already being stopped."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, cast

import pytest

from ska_oso_oet.mptools.exits import Rung
from ska_oso_oet.mptools.stop_ladder import StopLadder

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ska_oso_oet.mptools.handle import Handle


class FakeTimer:
    def __init__(self, due: float) -> None:
        self.due = due

    def when(self) -> float:
        return self.due

    def cancel(self) -> None:
        pass


class FakeLoop:
    """Keeps what is to be called, and calls it when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], Any]] = []

    def time(self) -> float:
        return 0.0

    def call_at(self, due: float, call: Callable[..., Any], *args: Any) -> FakeTimer:
        self.calls.append(lambda: call(*args))
        return FakeTimer(due)

    call_later = call_at


class FakeHandle:
    pid = 7
    ended = False

    def __init__(self) -> None:
        self.sent: list[signal.Signals] = []

    def signal(self, number: signal.Signals) -> bool:
        self.sent.append(number)
        return True

    def kill(self) -> None:
        self.sent.append(signal.SIGKILL)


@pytest.mark.parametrize(
    ("overdue", "sent", "rung"),
    [
        (False, [signal.SIGCONT, signal.SIGTERM], Rung.SIGTERM),
        (True, [signal.SIGKILL], Rung.SIGKILL),
    ],
)
def test_a_stop_that_is_overdue_when_the_process_is_made_kills_it(
    sent: list[signal.Signals], rung: Rung, *, overdue: bool
) -> None:
    loop, handle = FakeLoop(), FakeHandle()
    ladder = StopLadder(cast("asyncio.AbstractEventLoop", loop), "a process")
    assert ladder.begin(1.0)
    if overdue:
        loop.calls[0]()
    ladder.on_forked(cast("Handle", handle), condemned=False)
    assert (handle.sent, ladder.rung) == (sent, rung)
