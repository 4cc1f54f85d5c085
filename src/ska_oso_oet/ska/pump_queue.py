"""An event pump runs what is queued here: in order, later, and once it has less to do."""

from __future__ import annotations

import heapq
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENTRY_BYTES", "PumpQueue"]

ENTRY_BYTES: Final = 16 * 1024
"""An entry counts once more in the backlog for each so many bytes that wait with it."""


class _Entry(NamedTuple):
    """Something to run, since when it waits, and as how many entries it counts."""

    since: float
    weight: int
    action: Callable[[], None]


class _Timed(NamedTuple):
    """Something to run when it is due; what is to be flushed is run at the end even if it is not."""

    due: float
    number: int
    action: Callable[[], None]
    flush: bool


class PumpQueue:
    """First in, first out, with a backlog that counts large entries as several.

    Not thread-safe: the pump has the lock. Times are those of `time.monotonic`.
    """

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._weight = 0
        self._current: _Entry | None = None
        self._timed: list[_Timed] = []
        self._numbers = count()
        self._pending: set[str] = set()
        self._last_run: dict[str, float] = {}
        self._waiters: list[tuple[int, Callable[[], None]]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def backlog(self) -> int:
        """How many entries wait or are being run; what is scheduled for later is not among them."""
        return self._weight + (self._current.weight if self._current else 0)

    @property
    def waits_since(self) -> float | None:
        """When the oldest entry came, None if there is none."""
        oldest = self._current or (self._entries[0] if self._entries else None)
        return oldest.since if oldest else None

    def append(self, action: Callable[[], None], size: int = 0) -> None:
        """Add something to run, with which `size` bytes wait."""
        entry = _Entry(time.monotonic(), 1 + size // ENTRY_BYTES, action)
        self._weight += entry.weight
        self._entries.append(entry)

    def schedule(self, delay: float, action: Callable[[], None], *, flush: bool = False) -> None:
        """Add something to run in `delay` seconds."""
        timed = _Timed(time.monotonic() + delay, next(self._numbers), action, flush)
        heapq.heappush(self._timed, timed)

    def coalesce(self, name: str, action: Callable[[], None], interval: float) -> None:
        """Add what `name` stands for, unless it waits already; `interval` seconds after the last at least."""
        if name in self._pending:
            return
        self._pending.add(name)
        wait = self._last_run.get(name, -interval) + interval - time.monotonic()
        if wait > 0:
            self.schedule(wait, action, flush=True)
        else:
            self.append(action)

    def reopen(self, name: str) -> None:
        """Note that what `name` stands for is being run: from here on it may be added again."""
        self._pending.discard(name)
        self._last_run[name] = time.monotonic()

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        """Have `callback` among those that `satisfied` returns, once the backlog is `level` or less."""
        self._waiters.append((level, callback))

    def move_due(self, *, ending: bool) -> float | None:
        """Move what is due to the queue; returns the seconds until more is, None if nothing is scheduled.

        At the end everything is due, and what is not to be flushed is forgotten.
        """
        now = time.monotonic()
        while self._timed and (ending or self._timed[0].due <= now):
            timed = heapq.heappop(self._timed)
            if timed.flush or not ending:
                self.append(timed.action)
        return self._timed[0].due - now if self._timed else None

    def satisfied(self) -> list[Callable[[], None]]:
        """Take out those that wait for a backlog no higher than the present one."""
        backlog = self.backlog
        ready = [callback for level, callback in self._waiters if backlog <= level]
        self._waiters = [waiter for waiter in self._waiters if backlog > waiter[0]]
        return ready

    def begin(self) -> Callable[[], None] | None:
        """Take out the oldest entry, which counts until `end`; None if there is none."""
        if not self._entries:
            return None
        self._current = self._entries.popleft()
        self._weight -= self._current.weight
        return self._current.action

    def end(self) -> None:
        """Note that what was begun has been run."""
        self._current = None

    def clear(self) -> int:
        """Forget what waits; returns how many entries that were."""
        lost = len(self._entries)
        self._entries.clear()
        self._weight = 0
        return lost
