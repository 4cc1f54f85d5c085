"""HistoryInterface is the part of the controller's Tango interface that lists and prunes the history."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tango.server import command

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ID_DOC, LONG_STRING, ControllerInterface
from ska_oso_oet.history.queries import HistoryQuery, Pruned, PruneQuery
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from ska_oso_oet.ska.device_hooks import LongStringArray


class HistoryInterface(ControllerInterface):
    """Commands of the history."""

    @command(dtype_in=str, doc_in="JSON: state, since, script, …", dtype_out=str, doc_out="JSON")
    def GetHistory(self, argin: str) -> str:
        """List procedures of this and earlier runs, newest first."""
        with as_dev_failed("GetHistory"):
            return self.running_engine.history.list(self.parsed(HistoryQuery.parse, argin))

    @command(dtype_in=str, doc_in="JSON: older_than, keep", dtype_out=LONG_STRING, doc_out=ID_DOC)
    def PruneHistory(self, argin: str) -> LongStringArray:
        """Delete old procedures and activities from the history; ends when they are gone."""
        return self.acting("PruneHistory", PruneQuery, argin, self._prune)

    def _prune(self, query: PruneQuery) -> LongStringArray:
        history = self.running_engine.history

        def prune(command_id: str) -> None:
            history.prune(query, partial(self._on_pruned, command_id))

        return self.book.run(self, "PruneHistory", prune)

    def _on_pruned(self, command_id: str, outcome: Pruned | Exception) -> None:
        if isinstance(outcome, Exception):
            self.book.end(command_id, ResultCode.FAILED, str(outcome))
        else:
            self.book.end(command_id, ResultCode.OK, outcome.to_json())
