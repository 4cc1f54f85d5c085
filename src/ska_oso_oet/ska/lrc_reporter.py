"""Telling clients about long running commands, in the order in which ska-tango-base tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.ska.lrc_ledger import REMOVAL_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.ska.lrc_ledger import Ledger
    from ska_oso_oet.ska.lrc_record import CommandRecord

__all__ = ["CommandReporter"]

_KNOWN: Final = ("longRunningCommandsInQueue", "longRunningCommandIDsInQueue", "longRunningCommandStatus")
_BEFORE: Final = ("longRunningCommandResult", "longRunningCommandProgress", "longRunningCommandStatus")
_AFTER: Final = ("lrcQueue", "lrcExecuting", "lrcFinished")


class CommandReporter:
    """Emits what has changed in a ledger; the caller holds the lock that guards it.

    A value that is the same as the last is not emitted: clients are not told the same twice either way.
    """

    def __init__(self, ledger: Ledger, emit: Callable[[str, object], None]) -> None:
        self._ledger = ledger
        self._emit = emit
        self._told: dict[str, object] = {
            name: ledger.value(name) for name in (*_KNOWN, *_BEFORE, "longRunningCommandInProgress", *_AFTER)
        } | {"commandedState": ledger.commanded_state}

    def admitted(self, record: CommandRecord) -> None:
        """Tell of a new command."""
        self._tell_lists(_KNOWN)
        self._emit("_lrcEvent", [record.command_id, json.dumps({"status": int(record.status)})])

    def updated(self, record: CommandRecord, update: dict[str, Any]) -> None:
        """Tell of a change of one command; `update` is what protocol 2 says of it."""
        self._tell_lists((*_BEFORE, "longRunningCommandInProgress"))
        self._tell("commandedState", self._ledger.commanded_state)
        self._emit("_lrcEvent", [record.command_id, json.dumps(update)])
        self._tell_lists(_AFTER)

    def refresh(self) -> float | None:
        """Tell which commands have left the lists of protocol 1; answer the seconds until the next leaves."""
        self._tell_lists(_KNOWN)
        ends = self._ledger.recent_ends()
        return ends[0] + REMOVAL_TIME - self._ledger.now() if ends else None

    def _tell_lists(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._tell(name, self._ledger.value(name))

    def _tell(self, name: str, value: object) -> None:
        if self._told[name] != value:
            self._told[name] = value
            self._emit(name, value)
