"""Pusher pushes events, tries again when a push fails, and leaves out what has not changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Pusher"]

_log = logging.getLogger(__name__)
_NOTHING: Final = object()
"""What subscribers have of a name before its first event, and when one was lost."""


class Pusher:
    """Pushes events by `push(name, value)`, from one thread.

    When that raises `retry_on` it is tried again after each of `pauses` (seconds, spent in `rest`, which
    returns False to end that). Then the event is logged, counted in `dropped` and left out; the next event of
    that name gets one try only until one succeeds, so that an event that can never be pushed does not hold up
    the others.
    """

    def __init__(
        self,
        push: Callable[[str, object], None],
        retry_on: type[BaseException],
        pauses: Sequence[float],
        rest: Callable[[float], bool],
    ) -> None:
        self._push = push
        self._retry_on = retry_on
        self._pauses = pauses
        self._rest = rest
        self._latest: dict[str, object] = {}
        # Replaced, never changed: other threads read it.
        self.failing: frozenset[str] = frozenset()
        """Names whose newest event was lost, so that subscribers have an older value."""
        self.dropped = 0
        """How many events were lost."""

    def push_changes_only(self, name: str) -> None:
        """From now on, push no event of this name with the value of the event before; before the first.

        This is compared here because cppTango's own comparison has a fault: of an attribute that it
        compares, it sends nobody a change event any more once a client has subscribed to its alarm events
        and has left.
        """
        self._latest[name] = _NOTHING

    def push(self, name: str, value: object) -> None:
        """Push an event, and return when it has been pushed or is lost."""
        if name in self._latest and self._latest[name] == value:
            return
        pauses = () if name in self.failing else self._pauses
        for pause in (*pauses, None):
            try:
                self._push(name, value)
            except self._retry_on as error:
                if pause is None or not self._rest(pause):
                    self._drop(name, error)
                    return
            else:
                self._note(name, value)
                return

    def _note(self, name: str, value: object) -> None:
        if name in self.failing:
            self.failing -= {name}
        if name in self._latest:
            self._latest[name] = value

    def _drop(self, name: str, error: BaseException) -> None:
        self.dropped += 1
        if name in self._latest:
            self._latest[name] = _NOTHING
        if name not in self.failing:
            self.failing |= {name}
            _log.error("The event %s could not be pushed and is lost: %s", name, error)
