"""What the HTTP API needs of OETController, and OETClient giving it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ska_oso_oet.client import OETClient
from ska_oso_oet.client.inbox import Deadline
from ska_oso_oet.client.waiting import wait_for_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.client.events import StreamItem
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.event.journal import EventsQuery
    from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, PruneQuery
    from ska_oso_oet.procedure.commands import (
        PrepareProcessCommand,
        StartProcessCommand,
        StopProcessCommand,
    )
    from ska_oso_oet.procedure.domain import ProcedureSummary


class Events(Protocol):
    """Events of the bus, each once and in order: what is needed of client.events.EventStream."""

    epoch: str
    seq: int

    def get(self, timeout: float | None = None) -> StreamItem | None:
        """Wait for the next item; None when the stream has been closed."""

    def drain(self) -> Iterator[StreamItem]:
        """Everything that has been published and was not yet read."""

    def close(self) -> None:
        """End the stream; who waits in `get` is woken."""


class Controller(Protocol):
    """The calls that requests become. They block for a moment, and raise OetError."""

    def create(self, script: PrepareProcessCommand, /) -> ProcedureSummary:
        """Create a procedure; answers once it exists."""

    def begin_start(self, command: StartProcessCommand) -> str:
        """Have a procedure started; answers the id of the command."""

    def begin_stop(self, command: StopProcessCommand) -> str:
        """Have a procedure stopped; answers the id of the command."""

    def begin_prune(self, query: PruneQuery) -> str:
        """Have the history pruned; answers the id of the command."""

    def result(self, command_id: str) -> CommandResult:
        """Answer how a command has ended; WaitTimeout if it has not."""

    def list(self) -> Sequence[ProcedureSummary]:
        """List the procedures."""

    def describe(self, procedure_id: int) -> ProcedureSummary:
        """Describe a procedure."""

    def output(self, procedure_id: int, since: int) -> dict[str, Any]:
        """Answer what a procedure has written after line `since`."""

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Answer a page of the history."""

    def perform(self, command: ActivityCommand) -> ActivitySummary:
        """Run an activity; answers its summary once it exists."""

    def list_activities(self) -> Sequence[ActivitySummary]:
        """List the activities."""

    def describe_activity(self, activity_id: int) -> ActivitySummary:
        """Describe an activity."""

    def read_events(self, query: EventsQuery) -> str:
        """Answer events of the journal as GetEvents does, in JSON."""

    def events(
        self,
        topics: Sequence[str] = (),
        since: int | None = None,
        epoch: str | None = None,
        procedure_id: int | None = None,
    ) -> Events:
        """Listen to the bus, or one procedure, from now on or after event `since` of `epoch`."""

    def status(self) -> dict[str, Any]:
        """Tell how the controller fares."""

    def settings(self) -> dict[str, Any]:
        """List its settings in effect."""

    def watch(self, attribute: str, deliver: Callable[[Any], None]) -> object:
        """Hand each value of an attribute to `deliver`, on a thread of the connection."""


class ControllerClient(OETClient):
    """OETClient, with the request of a command apart from its end: the thread of a request does not wait."""

    def begin_start(self, command: StartProcessCommand) -> str:
        """Have a procedure started; answers the id of the command."""
        return self._submit("StartProcedure", command)

    def begin_stop(self, command: StopProcessCommand) -> str:
        """Have a procedure stopped; answers the id of the command."""
        return self._submit("StopProcedure", command)

    def begin_prune(self, query: PruneQuery) -> str:
        """Have the history pruned; answers the id of the command."""
        return self._submit("PruneHistory", query)

    def result(self, command_id: str) -> CommandResult:
        """Answer how a command has ended; WaitTimeout if it has not."""
        return wait_for_command(self._link, command_id, Deadline(0))

    def perform(self, command: ActivityCommand) -> ActivitySummary:
        """Run an activity; answers its summary once it exists."""
        return self.run_activity(**command.model_dump())

    def read_events(self, query: EventsQuery) -> str:
        """Answer events of the journal as GetEvents does, in JSON."""
        return str(self._link.command("GetEvents", query.to_json()))

    def watch(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Hand each value of an attribute to `deliver`, None when it cannot be had; the result ends it."""
        return self._link.subscribe(attribute, deliver)
