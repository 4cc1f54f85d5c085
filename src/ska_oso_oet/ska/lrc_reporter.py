"""CommandReporter emits changes of long running commands in the order of ska-tango-base."""

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

    A value that is the same as the last is not emitted: clients would not see it twice either way.
    """

    def __init__(self, ledger: Ledger, emit: Callable[[str, object], None]) -> None:
        self._ledger = ledger
        self._emit = emit
        self._emitted: dict[str, object] = {
            name: ledger.value(name) for name in (*_KNOWN, *_BEFORE, "longRunningCommandInProgress", *_AFTER)
        } | {"commandedState": ledger.commanded_state}

    def admitted(self, record: CommandRecord) -> None:
        """Emit what a new command changes."""
        self._emit_lists(_KNOWN)
        self._emit("_lrcEvent", [record.command_id, json.dumps({"status": int(record.status)})])

    def updated(self, record: CommandRecord, update: dict[str, Any]) -> None:
        """Emit a change of one command; `update` is what protocol 2 reports of it."""
        self._emit_lists((*_BEFORE, "longRunningCommandInProgress"))
        self._emit_changed("commandedState", self._ledger.commanded_state)
        self._emit("_lrcEvent", [record.command_id, json.dumps(update)])
        self._emit_lists(_AFTER)

    def refresh(self) -> float | None:
        """Emit what has left the lists of protocol 1; return the seconds until the next command leaves."""
        self._emit_lists(_KNOWN)
        ends = self._ledger.recent_ends()
        return ends[0] + REMOVAL_TIME - self._ledger.now() if ends else None

    def _emit_lists(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._emit_changed(name, self._ledger.value(name))

    def _emit_changed(self, name: str, value: object) -> None:
        if self._emitted[name] != value:
            self._emitted[name] = value
            self._emit(name, value)
