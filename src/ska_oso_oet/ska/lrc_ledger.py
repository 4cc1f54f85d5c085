"""Ledger keeps the commands that a device knows, and makes the attributes that list them."""

from __future__ import annotations

import json
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from ska_oso_oet.ska.control_model import TaskStatus
from ska_oso_oet.ska.lrc_record import FINISHED_KEPT, CommandRecord, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ska_oso_oet.ska.lrc_record import CommandLimits

__all__ = ["REMOVAL_TIME", "Ledger"]

REMOVAL_TIME: Final = 10.0
"""Seconds for which a finished command stays in the lists of protocol 1."""


class Ledger:
    """Live and finished commands; the caller holds a lock.

    A list is cut at the max_dim_x of its attribute, so that it can always be read.
    """

    def __init__(self, limits: CommandLimits, clock: Callable[[], float]) -> None:
        self._sizes, self._remembered = limits.sizes, limits.remembered
        self.now = clock
        self.live: dict[str, CommandRecord] = {}
        self.finished: deque[CommandRecord] = deque(maxlen=FINISHED_KEPT)
        self._outcomes: dict[str, Outcome] = {}
        self.last_result = ["", ""]
        self.commanded_state = "None"
        self._values: dict[str, Callable[[], Iterable[str]]] = {
            "longRunningCommandsInQueue": lambda: (record.name for record in self._known()),
            "longRunningCommandIDsInQueue": lambda: (record.command_id for record in self._known()),
            "longRunningCommandStatus": lambda: chain.from_iterable(
                (record.command_id, record.status.name) for record in self._known()
            ),
            "longRunningCommandInProgress": lambda: (record.name for record in self._executing()),
            "longRunningCommandProgress": lambda: chain.from_iterable(
                (record.command_id, str(record.progress))
                for record in self._executing()
                if record.progress is not None
            ),
            "longRunningCommandResult": lambda: self.last_result,
            "lrcQueue": lambda: (),  # what is admitted is started: no command of ours waits for another
            "lrcExecuting": lambda: (record.to_json() for record in self._executing()),
            "lrcFinished": lambda: (record.to_json() for record in self.finished),
        }

    def value(self, attribute: str) -> list[str]:
        """Make the value of one of the list attributes."""
        return list(islice(self._values[attribute](), self._sizes[attribute]))

    def finish(self, record: CommandRecord) -> None:
        """Move a command that has ended from the live ones to the finished ones."""
        del self.live[record.command_id]
        self.finished.append(record)
        self._outcomes[record.command_id] = record.outcome
        if len(self._outcomes) > self._remembered:
            del self._outcomes[next(iter(self._outcomes))]
        self.last_result = [record.command_id, json.dumps(record.result_value)]

    def outcome(self, command_id: str) -> Outcome:
        """Find what has become of a command; the lists have only the newest finished ones, this has more."""
        live = self.live.get(command_id)
        if live is not None:
            return live.outcome
        return self._outcomes.get(command_id, Outcome(TaskStatus.NOT_FOUND))

    def recent_ends(self) -> list[float]:
        """When the finished commands that protocol 1 still lists have ended, oldest first."""
        return [record.ended for record in self._recent() if record.ended is not None]

    def _recent(self) -> list[CommandRecord]:
        # An age below zero means that the clock was set back: then the age is unknown.
        now = self.now()
        return [
            record
            for record in self.finished
            if record.ended is not None and 0 <= now - record.ended < REMOVAL_TIME
        ]

    def _known(self) -> list[CommandRecord]:
        """List what protocol 1 does: finished, executing, waiting; the oldest finished are left out first."""
        executing = self._executing()
        waiting = [record for record in self.live.values() if record.status is not TaskStatus.IN_PROGRESS]
        room = self._sizes["longRunningCommandsInQueue"] - len(executing) - len(waiting)
        recent = self._recent()
        return [*recent[max(len(recent) - room, 0) :], *executing, *waiting]

    def _executing(self) -> list[CommandRecord]:
        return [record for record in self.live.values() if record.status is TaskStatus.IN_PROGRESS]
