"""A debouncer decides when to act on a burst of events."""

from __future__ import annotations


class Debouncer:
    """Waits until events have been quiet for `debounce_s`, but never longer than `max_latency_s`.

    Times are seconds on any clock that does not go back; nothing here reads one.
    """

    def __init__(self, debounce_s: float, max_latency_s: float) -> None:
        self._debounce_s = debounce_s
        self._max_latency_s = max_latency_s
        self._latest: float | None = None
        self.deadline: float | None = None
        """When to act; None while nothing has happened."""

    def request(self, now: float, *, immediate: bool = False) -> None:
        """Note an event; an immediate one is acted on at once, and those before it too."""
        if self._latest is None:
            self._latest = now + self._max_latency_s
        quiet = now if immediate else now + self._debounce_s
        already_due = self.deadline is not None and self.deadline <= now
        if not already_due:
            self.deadline = min(quiet, self._latest)

    def reset_if_due(self, now: float) -> bool:
        """Return whether it is time to act; if so, forget the events that have been noted."""
        if self.deadline is None or now < self.deadline:
            return False
        self.deadline = self._latest = None
        return True
