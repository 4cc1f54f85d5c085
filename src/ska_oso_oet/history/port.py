"""What the controller needs of its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.history.queries import HistoryQuery, Pruned, PruneQuery


class HistoryPort(Protocol):
    """The history as the controller asks it; every answer is JSON in ASCII.

    What is asked for and not there raises NotFound; HistoryUnavailable when the database does not answer.
    """

    first_procedure_id: int
    first_activity_id: int

    def describe_procedure(self, number: int) -> str:
        """Answer the ProcedureSummary of any procedure that there was."""

    def describe_activity(self, number: int) -> str:
        """Answer the ActivitySummary of any activity that there was."""

    def output(self, number: int, since: int) -> str:
        """Answer GetOutput for any procedure that there was: its newest lines."""

    def list(self, query: HistoryQuery) -> str:
        """Answer GetHistory."""

    def note_request(self, command_id: str, command: str, requester: str | None) -> None:
        """Note who gave a command that was accepted."""

    def prune(self, query: PruneQuery, done: Callable[[Pruned | Exception], None]) -> None:
        """Delete what is old; returns at once, and calls `done` on a thread of the history's."""

    def health(self) -> str | None:
        """Say for an operator what is wrong, None when nothing is."""
