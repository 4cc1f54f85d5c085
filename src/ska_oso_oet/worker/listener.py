"""The pool has two ports: one reports what its ScriptWorkers do, one shows whether events come too fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.mptools import ExitStatus
    from ska_oso_oet.mptools.pipes import Stream
    from ska_oso_oet.procedure.domain import ProcedureState
    from ska_oso_oet.procedure.reports import Ending


class PoolListener(Protocol):
    """Hears of ScriptWorkers on the engine's thread; none of it may block."""

    def on_state(self, procedure_id: int, state: ProcedureState) -> None:
        """Know that a worker has entered a state."""

    def on_commit(self, procedure_id: int, commit: str) -> None:
        """Know the commit of a script from git."""

    def on_subarray(self, procedure_id: int, subarray_id: int) -> None:
        """Know the subarray that a script gets, as it needs one and nobody has named any."""

    def on_event(self, procedure_id: int, topic: str, data: dict[str, Any]) -> None:
        """Receive an event that a script has published."""

    def on_output(self, procedure_id: int, stream: Stream, data: bytes) -> None:
        """Receive what a script, or a program that it started, has written."""

    def on_log(self, procedure_id: int, level: str, text: str) -> None:
        """Receive a record of a script's log."""

    def on_end(self, procedure_id: int, status: ExitStatus, ending: Ending | None) -> None:
        """Know that a worker's process is gone; `ending` is its own last word, if it had time for one."""


class Flow(Protocol):
    """How far the consumer of the events is behind."""

    @property
    def backlog(self) -> int:
        """Events that wait."""

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        """Call back once no more than `level` events wait."""
