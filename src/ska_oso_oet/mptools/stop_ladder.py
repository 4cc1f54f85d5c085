"""StopLadder ends a process: SIGTERM first, SIGKILL for its whole group when that was not enough."""

from __future__ import annotations

import logging
import signal
from math import inf
from time import time
from typing import TYPE_CHECKING, Final

from ska_oso_oet.mptools.exits import Remains, Rung
from ska_oso_oet.mptools.signals import WAKE_SIGNAL

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from ska_oso_oet.mptools.handle import Handle

_log = logging.getLogger(__name__)
WAKE_SECS: Final = 0.1


class StopLadder:
    """The stop of one process; it may begin before the process is made. Used on the engine's thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.begun = False
        self.rung: Rung | None = None
        self._loop = loop
        self._name = name
        self._handle: Handle | None = None
        self._overdue = False
        self._over = False
        self._killed_at = inf
        self._left: Collection[int] = ()
        self._escalation: asyncio.TimerHandle | None = None
        self._wake_up: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float:
        """When the process is killed at the latest, by the clock of the loop; now when no stop has begun."""
        return self._loop.time() if self._escalation is None else self._escalation.when()

    @property
    def remains(self) -> Remains | None:
        """What is still there of a process that was killed."""
        if self._over or self._handle is None or self._killed_at == inf:
            return None
        left = self._left if self._handle.ended else [self._handle.pid]
        return Remains(frozenset(left), self._killed_at) if left else None

    def begin(self, wait_time: float) -> bool:
        """Begin to climb, or bring an escalation that is due later forward; returns whether this began it."""
        due = self._loop.time() + wait_time
        if self._escalation is None or due < self._escalation.when():
            if self._escalation is not None:
                self._escalation.cancel()
            self._escalation = self._loop.call_at(due, self._escalate)
        began = not self.begun
        self.begun = True
        return began

    def on_forked(self, handle: Handle, *, condemned: bool) -> None:
        """Go on with the process that has been made; one that is `condemned` is killed at once."""
        self._handle = handle
        if condemned:
            self.kill()
        elif self._overdue:
            self._escalate()
        elif self.begun:
            self.climb(handle)

    def climb(self, process: Handle) -> None:
        """Ask the process to end."""
        self.rung = Rung.SIGTERM
        process.signal(signal.SIGCONT)  # a process that is halted (SIGSTOP) would not see what follows
        process.signal(signal.SIGTERM)
        self._wake_up = self._loop.call_later(WAKE_SECS, process.signal, WAKE_SIGNAL)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._killed_at = min(self._killed_at, time())
        if self._handle is not None and not self._over:
            self._handle.kill()

    def on_left(self, pids: Collection[int]) -> None:
        """Note which processes are still there that it may have left."""
        self._left = pids
        self._killed_at = min(self._killed_at, time())

    def end(self) -> None:
        """Let go of the process, which has ended."""
        self._over = True
        for timer in (self._escalation, self._wake_up):
            if timer is not None:
                timer.cancel()
        if self.begun and self.rung is None:
            self.rung = Rung.SIGTERM  # there was nothing yet that could have been asked

    def _escalate(self) -> None:
        self._overdue = True  # if it is not forked yet, it is killed once it is
        if self._handle is not None:
            self.rung = Rung.SIGKILL
            _log.info(
                "process %d (%s) is sent SIGKILL: SIGTERM has not ended it", self._handle.pid, self._name
            )
            self.kill()
