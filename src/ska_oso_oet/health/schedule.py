"""The schedule decides when to run which probe."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class _Entry:
    period_s: float
    timeout_s: float
    due: float
    started: float | None = None
    expired: bool = False

    @property
    def next_time(self) -> float:
        if self.started is None:
            return self.due
        return math.inf if self.expired else self.started + self.timeout_s


class ProbeSchedule:
    """The rules by which probes are run; times are seconds on any clock that does not go back."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def add(self, name: str, period_s: float, timeout_s: float, now: float) -> None:
        """Run `name` from now on."""
        self._entries[name] = _Entry(period_s, timeout_s, due=now)

    def next_time(self) -> float:
        """Return when something is to be begun or has expired; infinity if nothing will be."""
        return min((entry.next_time for entry in self._entries.values()), default=math.inf)

    def request(self, name: str, now: float) -> None:
        """Make `name` due now, or as soon as the check that is under way has ended."""
        entry = self._entries[name]
        entry.due = min(entry.due, now)

    def begin(self, now: float) -> list[str]:
        """Return what is due, and count it as started."""
        due = [name for name, entry in self._entries.items() if entry.started is None and entry.due <= now]
        for name in due:
            entry = self._entries[name]
            entry.started, entry.due = now, now + entry.period_s
            entry.expired = False
        return due

    def expire(self, now: float) -> list[str]:
        """Return what has run longer than it may since the last call."""
        late = [
            name
            for name, entry in self._entries.items()
            if entry.started is not None and not entry.expired and now >= entry.started + entry.timeout_s
        ]
        for name in late:
            self._entries[name].expired = True
        return late

    def end(self, name: str, now: float) -> bool:
        """Note that `name` has ended, and return whether in time; if not it is due at once."""
        entry = self._entries[name]
        in_time = entry.started is not None and now < entry.started + entry.timeout_s
        entry.started = None
        if not in_time:
            entry.due = now
        return in_time
