"""Commands and attributes of the device implement the port that clients use."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ska_oso_oet.client.bounded import Bounded
from ska_oso_oet.client.events import Event, EventPage
from ska_oso_oet.client.inbox import Inbox
from ska_oso_oet.client.lost_stop import result_of_lost_stop
from ska_oso_oet.client.port import Stopped, read_as
from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES, command_result, wait_for_command
from ska_oso_oet.errors import (
    CommandForgotten,
    ControllerUnreachable,
    NotFound,
    OetError,
    Rejected,
)
from ska_oso_oet.history.queries import HistoryPage, Pruned
from ska_oso_oet.oda.desk import SBDefinitionList, SBInstanceList, StoredSBDefinition, StoredSBInstance
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.client.inbox import Connection, Deadline
    from ska_oso_oet.client.waiting import CommandResult, Kind, S
    from ska_oso_oet.event.journal import EventsQuery
    from ska_oso_oet.history.queries import HistoryQuery, PruneQuery
    from ska_oso_oet.models import Model
    from ska_oso_oet.oda.desk import SBDefinitionQuery, SBInstanceQuery, SBInstancesQuery
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.procedure.commands import (
        PrepareProcessCommand,
        StartProcessCommand,
        StopProcessCommand,
    )
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.procedure.output import OutputQuery

T = TypeVar("T")

RECONNECT_SECS: Final = 1.1
"""After a connection that failed, Tango refuses to make another one for a second."""
OWN: Final = -1
"""In place of a procedure's id, for DescribeProcedure: the newest of who asks."""


class TangoController:
    """The port `client.port.Controller`, by a link to the device."""

    def __init__(self, link: Connection, reconnect_secs: float = RECONNECT_SECS) -> None:
        self.link = link
        self._reconnect_secs = reconnect_secs

    @property
    def device(self) -> str:
        """The name of the controller as the caller wrote it."""
        return self.link.device

    @property
    def uri(self) -> str:
        """The full name of the controller."""
        return self.link.uri

    def close(self) -> None:
        """End all subscriptions; the next use connects again."""
        self.link.close()

    def until(self, deadline: Deadline) -> TangoController:
        """Return the same connection, whose every reply comes before a deadline."""
        if deadline.timeout is None or getattr(self.link, "deadline", None) is deadline:
            return self
        return TangoController(Bounded(self.link, deadline), self._reconnect_secs)

    # ---------------------------------------------------------------- requests
    def create(self, command: PrepareProcessCommand) -> ProcedureSummary:
        """Request a procedure; returns once it exists."""
        return self._made(PROCEDURES, self._submit("CreateProcedure", command))

    def start(self, command: StartProcessCommand) -> ProcedureSummary:
        """Request the start of a procedure; returns once that is accepted."""
        self._submit("StartProcedure", command)
        return self.described(PROCEDURES, command.procedure_id or OWN)

    def stop(self, command: StopProcessCommand, deadline: Deadline) -> Stopped:
        """Stop a procedure; returns once its process is gone, and its abort script has ended."""
        try:
            result = self._carry_out(self.begin_stop(command), deadline)
        except CommandForgotten as lost:
            result = result_of_lost_stop(self, command, lost)
        procedure_id = result.detail.get("procedure_id", command.procedure_id)
        if procedure_id is None:
            raise OetError(f"the stop ended otherwise: {result.text}")
        return Stopped(self.described(PROCEDURES, procedure_id), result)

    def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Request an activity; returns once it exists."""
        return self._made(ACTIVITIES, self._submit("RunActivity", command))

    def prune(self, query: PruneQuery, deadline: Deadline) -> Pruned:
        """Delete what has ended from the history; returns once it is gone."""
        return pruned(self._carry_out(self.begin_prune(query), deadline))

    # ---------------------------------------------------------------- requests apart from their ends
    def begin_stop(self, command: StopProcessCommand) -> str:
        """Request a stop; returns the id of the command.

        It is requested once more where the connection was lost: a stop of what is being stopped joins that.
        """
        try:
            return self._submit("StopProcedure", command)
        except ControllerUnreachable:
            time.sleep(self._reconnect_secs)
            return self._submit("StopProcedure", command)

    def begin_prune(self, query: PruneQuery) -> str:
        """Request a pruning; returns the id of the command."""
        return self._submit("PruneHistory", query)

    def result(self, command_id: str) -> CommandResult | None:
        """Ask how a command has ended; None if it has not."""
        return command_result(self.link, command_id)

    # ---------------------------------------------------------------- questions
    def listed(self, kind: Kind[S]) -> Sequence[S]:
        """List everything of a kind that is live and the newest that is finished, oldest first."""
        document = json.loads(self.link.read(kind.plural))
        return sorted((read_as(kind.model, each) for each in document[kind.plural]), key=lambda one: one.id)

    def described(self, kind: Kind[S], number: int) -> S:
        """Describe one of a kind; 0 is the newest one."""
        try:
            return read_as(kind.model, self.link.command(f"Describe{kind.word.capitalize()}", number))
        except NotFound as error:
            raise kind.missing(str(error)) from None

    def created_last(self) -> ProcedureSummary:
        """Describe what this user has created last: the controller knows who asks."""
        return self.described(PROCEDURES, OWN)

    def output(self, query: OutputQuery) -> dict[str, Any]:
        """Read what a procedure has written."""
        return self._document("GetOutput", query.to_json())

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Read a page of the history."""
        return read_as(HistoryPage, self.link.command("GetHistory", query.to_json()))

    def read_events(self, query: EventsQuery) -> EventPage:
        """Read events from the journal."""
        return EventPage.of(json.loads(self.written_events(query)))

    def written_events(self, query: EventsQuery) -> str:
        """Read events from the journal as the controller has written them, for who only passes them on."""
        return str(self.link.command("GetEvents", query.to_json()))

    def status(self) -> dict[str, Any]:
        """Read how the controller is."""
        return self._document("GetStatus")

    def settings(self) -> dict[str, Any]:
        """Read the settings in effect."""
        return self._document("GetSettings")

    # ---------------------------------------------------------------- Scheduling Blocks
    def add_sbd(self, sbd: SBDefinition) -> StoredSBDefinition:
        """Store an SBDefinition."""
        return read_as(StoredSBDefinition, self.link.command("AddSBDefinition", sbd.to_json()))

    def sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""
        return read_as(SBDefinitionList, self.link.command("GetSBDefinitions"))

    def sbd(self, query: SBDefinitionQuery) -> StoredSBDefinition:
        """Read an SBDefinition."""
        return read_as(StoredSBDefinition, self.link.command("GetSBDefinition", query.to_json()))

    def sbis(self, query: SBInstancesQuery) -> SBInstanceList:
        """List SBInstances, newest first."""
        return read_as(SBInstanceList, self.link.command("GetSBInstances", query.to_json()))

    def sbi(self, query: SBInstanceQuery) -> StoredSBInstance:
        """Read an SBInstance."""
        return read_as(StoredSBInstance, self.link.command("GetSBInstance", query.to_json()))

    # ---------------------------------------------------------------- news
    def changes(self, kind: Kind[S]) -> Inbox[tuple[S, ...]]:
        """Subscribe to those of a kind that change."""
        return self._inbox(f"{kind.word}Changed", partial(_changed, kind))

    def new_events(self) -> Inbox[tuple[Event, ...]]:
        """Subscribe to the bus."""
        return self._inbox("event", _events)

    def readiness_changes(self) -> Inbox[str]:
        """Subscribe to why no script can be started."""
        return self._inbox("whyNotReady", str)

    # ---------------------------------------------------------------- Tango's way
    def _inbox(self, attribute: str, read: Callable[[Any], T]) -> Inbox[T]:
        return Inbox(partial(self.link.subscribe, attribute), read)

    def _submit(self, command: str, argument: Model) -> str:
        [[code], [reply]] = self.link.command(command, argument.to_json())
        if int(code) not in {ResultCode.STARTED, ResultCode.QUEUED}:
            raise Rejected(str(reply))
        return str(reply)

    def _made(self, kind: Kind[S], command_id: str) -> S:
        for one in self.listed(kind):
            if one.command_id == command_id:
                return one
        raise kind.missing(f"the {kind.word} of command {command_id} has already left the list")

    def _carry_out(self, command_id: str, deadline: Deadline) -> CommandResult:
        return wait_for_command(self.link, command_id, deadline)

    def _document(self, command: str, argument: str | None = None) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.link.command(command, argument))
        return document


def _changed(kind: Kind[S], text: str) -> tuple[S, ...]:
    """Read what has changed; the attribute is empty before the first change."""
    found = json.loads(text).get(kind.word) if text else None
    return (read_as(kind.model, found),) if found else ()


def _events(text: str) -> tuple[Event, ...]:
    """Read an event; the attribute is empty before the first one."""
    document = json.loads(text) if text else None
    return (Event.of(document),) if document else ()


def pruned(result: CommandResult) -> Pruned:
    """Read the result of PruneHistory; raises OetError for a failure."""
    if result.code != ResultCode.OK:
        raise OetError(f"the history was not pruned: {result.text}")
    return read_as(Pruned, result.text)
