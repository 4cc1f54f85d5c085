"""The port has all that a client can ask of OETController, whether over Tango or over HTTP.

Arguments and results are typed; JSON is the business of whoever implements the port, and is read once, where
it arrives. Every method raises OetError, ControllerUnreachable among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ska_oso_oet.errors import InvalidArgument, OetError
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.client.events import Event, EventPage
    from ska_oso_oet.client.inbox import Deadline, Inbox
    from ska_oso_oet.client.waiting import CommandResult, Kind, S
    from ska_oso_oet.event.journal import EventsQuery
    from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, Pruned, PruneQuery
    from ska_oso_oet.oda.desk import (
        SBDefinitionList,
        SBDefinitionQuery,
        SBInstanceList,
        SBInstanceQuery,
        SBInstancesQuery,
        StoredSBDefinition,
        StoredSBInstance,
    )
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.procedure.commands import (
        PrepareProcessCommand,
        StartProcessCommand,
        StopProcessCommand,
    )
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.procedure.output import OutputQuery

M = TypeVar("M", bound=Model)


class Stopped(NamedTuple):
    """The end of a stop: the procedure as it was left, and the result of the command."""

    procedure: ProcedureSummary
    result: CommandResult

    @property
    def abort(self) -> dict[str, Any] | None:
        """How the abort script ended, None if it was not asked for.

        `state` is that of its procedure, None when it was not run; `procedure_id` and `message` may be there.
        """
        abort: dict[str, Any] | None = self.result.detail.get("abort")
        return abort

    @property
    def done(self) -> bool:
        """Whether all that was asked for was done: the process is gone, and the abort script COMPLETE."""
        aborted = self.abort is None or self.abort.get("state") == ProcedureState.COMPLETE
        return self.result.code == ResultCode.OK and aborted


class Controller(Protocol):
    """OETController, as a client uses it."""

    @property
    def device(self) -> str:
        """What it is, as it was named by the user."""

    @property
    def uri(self) -> str:
        """The full name."""

    def close(self) -> None:
        """End all subscriptions; the next use connects again."""

    def until(self, deadline: Deadline) -> Controller:
        """Return the same connection, whose every method returns before a deadline.

        A controller that does not reply in time is ControllerUnreachable.
        """

    # ---------------------------------------------------------------- requests
    def create(self, command: PrepareProcessCommand) -> ProcedureSummary:
        """Request a procedure; returns once it exists."""

    def start(self, command: StartProcessCommand) -> ProcedureSummary:
        """Request the start of a procedure; returns once that is accepted."""

    def stop(self, command: StopProcessCommand, deadline: Deadline) -> Stopped:
        """Stop a procedure; returns once its process is gone, and its abort script has ended."""

    def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Request an activity; returns once it exists."""

    def prune(self, query: PruneQuery, deadline: Deadline) -> Pruned:
        """Delete what has ended from the history; returns once it is gone."""

    # ---------------------------------------------------------------- questions
    def listed(self, kind: Kind[S]) -> Sequence[S]:
        """List everything of a kind that is live and the newest that is finished, oldest first."""

    def described(self, kind: Kind[S], number: int) -> S:
        """Describe one of a kind; 0 is the newest one. Raises NotFound of this kind."""

    def created_last(self) -> ProcedureSummary:
        """Describe what this user, where that is known, or else anyone has created last."""

    def output(self, query: OutputQuery) -> dict[str, Any]:
        """Read what a procedure has written, in the form that GetOutput has."""

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Read a page of the history."""

    def read_events(self, query: EventsQuery) -> EventPage:
        """Read events from the journal."""

    def status(self) -> dict[str, Any]:
        """Read how the controller is, in the form that GetStatus has."""

    def settings(self) -> dict[str, Any]:
        """Read the settings in effect, in the form that GetSettings has."""

    # ---------------------------------------------------------------- Scheduling Blocks
    def add_sbd(self, sbd: SBDefinition) -> StoredSBDefinition:
        """Store an SBDefinition, as Oda.add_sbd does."""

    def sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""

    def sbd(self, query: SBDefinitionQuery) -> StoredSBDefinition:
        """Read an SBDefinition."""

    def sbis(self, query: SBInstancesQuery) -> SBInstanceList:
        """List SBInstances, newest first."""

    def sbi(self, query: SBInstanceQuery) -> StoredSBInstance:
        """Read an SBInstance."""

    # ---------------------------------------------------------------- news
    def changes(self, kind: Kind[S]) -> Inbox[tuple[S, ...]]:
        """Subscribe to those of a kind that change; nothing is in the first value before any has changed."""

    def new_events(self) -> Inbox[tuple[Event, ...]]:
        """Subscribe to the bus, as above."""

    def readiness_changes(self) -> Inbox[str]:
        """Subscribe to why no script can be started; empty when they can."""


def read_as(model: type[M], document: str | Mapping[str, Any]) -> M:
    """Read what the controller sends; a fault in it is not to be confused with an argument of the user."""
    try:
        return model.parse(document)
    except InvalidArgument as error:
        raise OetError(f"the controller speaks another version of this interface: {error}") from None
