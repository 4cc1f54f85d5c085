"""Change events of the controller are handed over to the thread that wants them.

Nothing here knows Tango or HTTP: `Link` is what is needed of a connection. An event is delivered on a
thread of the connection's own, which only puts it into a queue; the controller is asked from the caller's
thread.

Events can be lost (a full buffer, a broken connection), and Tango reports that only when a later event
arrives. So nobody relies on an event: after `QUIET_TIME` without one, and after every error, the
controller is asked once. That question is the safety net, not the way news usually arrives.
"""

from __future__ import annotations

import queue
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = TypeVar("Answer")
T = TypeVar("T")

CALL_TIMEOUT: Final = 3.0
"""Seconds in which the controller must reply to a call; Tango's own default."""

QUIET_TIME: Final = 3.0
"""Seconds without news after which the controller is asked."""

PATIENCE: Final = 30.0
"""Seconds for which a wait outlives a controller that does not reply: enough for its restart."""

INBOX_SIZE: Final = 20_000
"""Events kept for a slow reader. More are dropped, and found again by their sequence numbers."""


class Link(Protocol):
    """A connection to the controller. Its methods raise OetError, ControllerUnreachable among them."""

    def command(self, name: str, argument: object = None) -> Any:
        """Call a command of the device."""

    def read(self, attribute: str) -> Any:
        """Read an attribute: a string, or a tuple of strings."""

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Hand each change of `attribute` to `deliver`, None for a reason to ask; the result ends it."""


class Connection(Link, Protocol):
    """A link that has a name and an end."""

    @property
    def device(self) -> str:
        """What it is connected to, as the caller named it."""

    @property
    def uri(self) -> str:
        """The full name."""

    def close(self) -> None:
        """End all subscriptions; the next use connects again."""


class Deadline:
    """The moment until which something is waited for; None is for ever."""

    def __init__(self, timeout: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if timeout is not None and not timeout >= 0:
            raise InvalidArgument(f"a timeout is a number of seconds from 0 on, not {timeout}")
        self.timeout = timeout
        self._clock = clock
        self._end = None if timeout is None else clock() + timeout

    @classmethod
    def of(cls, timeout: float | Deadline | None) -> Deadline:
        """Make one of seconds from now, or of a deadline that several steps share."""
        return timeout if isinstance(timeout, Deadline) else cls(timeout)

    def sooner(self, other: Deadline) -> Deadline:
        """Return the one of two that comes first."""
        remaining, others = self.remaining, other.remaining
        return self if others is None or (remaining is not None and remaining <= others) else other

    @property
    def remaining(self) -> float | None:
        """Seconds left, never below zero."""
        return None if self._end is None else max(self._end - self._clock(), 0.0)

    def at_most(self, seconds: float) -> float:
        """`seconds`, or what is left if that is less."""
        remaining = self.remaining
        return seconds if remaining is None else min(seconds, remaining)

    def check(self, situation: str) -> None:
        """Raise WaitTimeout, which names what is still so, when the time is over."""
        if self.remaining == 0.0:
            raise WaitTimeout(f"{situation} after {self.timeout:g} s")


class Patience:
    """Puts up with a controller that does not reply, for a while."""

    def __init__(self, limit: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._silent_since: float | None = None

    def ask(self, question: Callable[[], Answer]) -> Answer | None:
        """Return None while the controller is away; raise ControllerUnreachable when it stays away."""
        with self.forgiving():
            return question()
        return None

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Go on after a controller that was away; raise ControllerUnreachable when it stays away."""
        try:
            yield
        except ControllerUnreachable:
            if self._is_over():
                raise
        else:
            self._silent_since = None

    def _is_over(self) -> bool:
        now = self._clock()
        if self._silent_since is None:
            self._silent_since = now
        return now - self._silent_since >= self._limit


class _Letters(queue.Queue[Any]):
    """A queue in which one reason to ask is enough: while it waits at the end, another adds nothing."""

    def _put(self, item: Any) -> None:
        if item is not None or not self.queue or self.queue[-1] is not None:
            super()._put(item)


class Inbox(Generic[T]):
    """News of one kind, handed over to the caller's thread, on which `read` makes values of what has come.

    `subscribe(deliver)` begins to hand over to `deliver`; what it returns ends that.
    """

    def __init__(
        self,
        subscribe: Callable[[Callable[[Any], None]], Callable[[], None]],
        read: Callable[[Any], T],
        size: int = INBOX_SIZE,
    ) -> None:
        self._queue = _Letters(size)
        self._read = read
        self._unsubscribe = subscribe(self._deliver)

    def _deliver(self, value: Any) -> None:
        # Full: what is dropped here is noticed by its sequence number, or by asking.
        with suppress(queue.Full):
            self._queue.put_nowait(value)

    def get(self, timeout: float) -> T | None:
        """Wait for the next value; None is a reason to ask the controller (an error, or quiet)."""
        try:
            news = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None
        return None if news is None else self._read(news)

    def close(self) -> None:
        """Unsubscribe, and wake up who waits."""
        self._unsubscribe()
        self._deliver(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
