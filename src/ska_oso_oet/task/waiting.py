"""A thread can wait for the first of two events without polling."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Python cannot wait for two plain `threading.Event`s at once, and a thread that waited for the second
# would live until somebody sets it. Looking at it this often costs nothing that can be measured.
PLAIN_EVENT_CHECK_S = 0.1


class ChainedEvent(threading.Event):
    """An event that wakes whoever follows it, so that one thread can wait for the first of several."""

    def __init__(self) -> None:
        super().__init__()
        self._followers: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    def set(self) -> None:
        """Set the event and call the followers."""
        super().set()
        with self._guard:
            followers = list(self._followers)
        for wake in followers:
            wake()

    @contextmanager
    def followed_by(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` when the event is set, or now if it is already; `wake` must not raise."""
        with self._guard:
            self._followers.append(wake)
        try:
            if self.is_set():
                wake()
            yield
        finally:
            with self._guard:
                self._followers.remove(wake)


def wait_for_first(event: ChainedEvent, other: threading.Event | None) -> bool:
    """Block until `event` or `other` is set; True when `event` is.

    No polling where `other` is a ChainedEvent too; a plain event is looked at every
    PLAIN_EVENT_CHECK_S seconds.
    """
    if other is None:
        return event.wait()
    if isinstance(other, ChainedEvent):
        either = threading.Event()
        with event.followed_by(either.set), other.followed_by(either.set):
            either.wait()
        return event.is_set()
    while not other.is_set():
        if event.wait(PLAIN_EVENT_CHECK_S):
            return True
    return event.is_set()
