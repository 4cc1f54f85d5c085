"""Landmarks are what must be stored before it is published: new ids, what runs, and final states."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ska_oso_oet.activity.domain import ActivitySummary
from ska_oso_oet.procedure.changes import ProcedureChange

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event

WAIT_SECS: Final = 1.0
"""For which whoever publishes or reads waits; a Tango device that waits for 3.2 s is of no use."""
_RUNNING: Final = "RUNNING"
_CHANGE: Final = "procedure.lifecycle.statechange"


def is_landmark(event: Event) -> bool:
    """Return whether an event reports that something exists, runs, or has ended."""
    subject = event.subject
    if isinstance(subject, ProcedureChange):
        summary = subject.summary
        first = len(summary.history.process_states) == 1
        return event.topic == _CHANGE and (first or summary.state.value == _RUNNING or summary.state.final)
    return isinstance(subject, ActivitySummary) and is_activity_landmark(subject)


def is_activity_landmark(summary: ActivitySummary) -> bool:
    """Return whether an activity is new, runs, or has ended."""
    return len(summary.activity_states) == 1 or summary.state.value == _RUNNING or summary.state.final


class Landmarks:
    """Counts what is noted and what of it is stored, and lets others wait for the difference.

    If a store does not reply within WAIT_SECS, or fails, nobody waits for it until it has everything: that
    is a `gap`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._noted = 0
        self._stored = 0
        self._open = False
        self.gap = False

    @property
    def noted(self) -> int:
        """How many have been noted."""
        return self._noted

    @property
    def urgent(self) -> bool:
        """Whether something is noted that is not stored, and may be waited for."""
        return self._noted > self._stored and not self.gap

    def begin(self) -> None:
        """Let others wait from now on: there is somebody who stores."""
        self._open = True

    def note(self) -> None:
        """Count one more."""
        with self._changed:
            self._noted += 1

    def stored(self, count: int) -> None:
        """Know that the first `count` are stored; a gap ends when those are all."""
        with self._changed:
            self._stored = max(self._stored, count)
            self.gap = self.gap and self._stored < self._noted
            self._changed.notify_all()

    def stop_waiting(self) -> None:
        """Let nobody wait until everything is stored."""
        with self._changed:
            self.gap = self._noted > self._stored
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until what has been noted so far is stored, unless there is a gap, for WAIT_SECS at most."""
        with self._changed:
            wanted = self._noted
            if not self._changed.wait_for(
                lambda: self._stored >= wanted or self.gap or not self._open, WAIT_SECS
            ):
                self.gap = True
