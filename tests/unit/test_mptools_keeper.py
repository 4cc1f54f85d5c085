"""ForkServerKeeper while no fork server is up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ska_oso_oet.mptools.forkserver_client import Start
from ska_oso_oet.mptools.forkserver_keeper import WAIT_SECS, ForkServerKeeper

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Timer:
    delay: float
    call: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Loop:
    """A loop in which no time passes by itself."""

    timers: list[Timer] = field(default_factory=list)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Timer:
        self.timers.append(Timer(delay, lambda: function(*args)))
        return self.timers[-1]


@dataclass
class Proc:
    number: int
    failed: list[str] = field(default_factory=list)

    def open(self) -> list[int]:
        raise AssertionError("nobody makes it")

    def on_failed(self, why: str) -> None:
        self.failed.append(why)


def keeper(loop: Loop) -> ForkServerKeeper:
    return ForkServerKeeper(cast("Any", loop), Start([], {}), lambda *_: None, lambda: None)


def test_what_waits_for_a_fork_server_fails_in_the_end() -> None:
    loop, proc = Loop(), Proc(1)
    keeping = keeper(loop)
    keeping.request(proc, b"")
    assert (keeping.is_waiting(1), proc.failed) == (True, [])
    [timer] = loop.timers
    assert timer.delay == WAIT_SECS
    timer.call()
    assert proc.failed == ["no fork server has started up within 60 s"]
    assert not keeping.is_waiting(1)


def test_what_waits_can_be_withdrawn_once() -> None:
    loop, proc = Loop(), Proc(1)
    keeping = keeper(loop)
    keeping.request(proc, b"")
    assert keeping.withdraw(1)
    assert loop.timers[0].cancelled
    assert not keeping.withdraw(1)
    loop.timers[0].call()
    assert proc.failed == []
