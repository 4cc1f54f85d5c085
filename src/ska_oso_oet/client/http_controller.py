"""The HTTP API implements the port that clients use."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from ska_oso_oet.client.bounded import in_time
from ska_oso_oet.client.events import EventPage
from ska_oso_oet.client.http_feed import EventFeed
from ska_oso_oet.client.inbox import Deadline, Inbox
from ska_oso_oet.client.port import Stopped, read_as
from ska_oso_oet.client.requests import created_last, the_running
from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES, CommandResult
from ska_oso_oet.errors import InvalidArgument, NotFound, Rejected
from ska_oso_oet.history.queries import HistoryPage, Pruned
from ska_oso_oet.oda.desk import SBDefinitionList, SBInstanceList, StoredSBDefinition, StoredSBInstance
from ska_oso_oet.procedure.domain import ProcedureSummary
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.client.events import Event
    from ska_oso_oet.client.http_server import HttpServer
    from ska_oso_oet.client.waiting import Kind, S
    from ska_oso_oet.event.journal import EventsQuery
    from ska_oso_oet.history.queries import HistoryQuery, PruneQuery
    from ska_oso_oet.oda.desk import SBDefinitionQuery, SBInstanceQuery, SBInstancesQuery
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.procedure.commands import (
        PrepareProcessCommand,
        StartProcessCommand,
        StopProcessCommand,
    )
    from ska_oso_oet.procedure.output import OutputQuery

Reply = TypeVar("Reply")

COMMAND_TIMEOUT: Final = 150.0
"""Seconds that the reply to a stop or a pruning may take; the server gives up after 120 s."""


class HttpController:
    """The port `client.port.Controller`, by requests to the HTTP API.

    News are events of the API's stream, which is opened once the first is subscribed to, and kept. What it
    carries is only a reason to ask.
    """

    def __init__(
        self, server: HttpServer, feed: EventFeed | None = None, deadline: Deadline | None = None
    ) -> None:
        self._server = server
        self._feed = feed or EventFeed(server)
        self._deadline = deadline or Deadline(None)
        self.device = self.uri = server.url

    def close(self) -> None:
        """End the stream of events; the next subscription opens it again."""
        self._feed.close()

    def until(self, deadline: Deadline) -> HttpController:
        """Return the same connection, whose every reply comes before a deadline."""
        return HttpController(self._server, self._feed, self._deadline.sooner(deadline))

    # ---------------------------------------------------------------- requests
    def create(self, command: PrepareProcessCommand) -> ProcedureSummary:
        """Request a procedure; returns once it exists."""
        return self._one(PROCEDURES, "POST", "/procedures", command.to_dict())

    def start(self, command: StartProcessCommand) -> ProcedureSummary:
        """Request the start of a procedure; returns once that is accepted."""
        main = command.script_args.main
        arguments = {} if main is None else {"run": main.to_dict()}
        body = {"state": "RUNNING", "script_args": arguments, "force_start": command.force_start}
        number = command.procedure_id or self.created_last().id
        with _if_there_is(PROCEDURES, number, Rejected):
            return self._one(PROCEDURES, "PUT", f"/procedures/{number}", body)

    def stop(self, command: StopProcessCommand, deadline: Deadline) -> Stopped:
        """Stop a procedure; returns once its process is gone, and its abort script has ended."""
        number = command.procedure_id or the_running(self.listed(PROCEDURES))
        body = {"state": "STOPPED", **({} if command.run_abort is None else {"abort": command.run_abort})}
        with _if_there_is(PROCEDURES, number, Rejected):
            reply = self._carry_out("PUT", f"/procedures/{number}", body, deadline)
        result = reply["result"]
        code = ResultCode[result.pop("code")]
        procedure = read_as(ProcedureSummary, _summary(reply["procedure"]))
        if set(result) == {"message"}:
            return Stopped(procedure, CommandResult(code, result["message"]))
        return Stopped(procedure, CommandResult.of(code, result))

    def run_activity(self, command: ActivityCommand) -> ActivitySummary:
        """Request an activity; returns once it exists."""
        return self._one(ACTIVITIES, "POST", "/activities", command.to_dict())

    def prune(self, query: PruneQuery, deadline: Deadline) -> Pruned:
        """Delete what has ended from the history; returns once it is gone."""
        return read_as(Pruned, self._carry_out("POST", "/history/prune", query.to_dict(), deadline)["pruned"])

    # ---------------------------------------------------------------- questions
    def listed(self, kind: Kind[S]) -> Sequence[S]:
        """List everything of a kind that is live and the newest that is finished, oldest first."""
        resources = self._document(f"/{kind.plural}")[kind.plural]
        return [read_as(kind.model, _summary(resource)) for resource in resources]

    def described(self, kind: Kind[S], number: int) -> S:
        """Describe one of a kind; 0 is the newest one."""
        if not number:
            listed = self.listed(kind)
            if not listed:
                raise kind.missing(f"there is no {kind.word} yet")
            return listed[-1]
        with _if_there_is(kind, number, kind.missing):
            return self._one(kind, "GET", f"/{kind.plural}/{number}")

    def created_last(self) -> ProcedureSummary:
        """Describe what anyone has created last: over HTTP all are the same user to the controller."""
        return created_last(self.listed(PROCEDURES))

    def output(self, query: OutputQuery) -> dict[str, Any]:
        """Read what a procedure has written."""
        number = query.procedure_id or self.described(PROCEDURES, 0).id
        with _if_there_is(PROCEDURES, number, PROCEDURES.missing):
            return self._document(f"/procedures/{number}/output?since={query.since}")

    def history(self, query: HistoryQuery) -> HistoryPage:
        """Read a page of the history."""
        page = self._document(_with_query("/history", query.to_dict()))
        return read_as(HistoryPage, {**page, "procedures": [*map(_summary, page["procedures"])]})

    def read_events(self, query: EventsQuery) -> EventPage:
        """Read events from the journal."""
        return EventPage.of(self._document(_with_query("/events", query.to_dict(), topics="topic")))

    def status(self) -> dict[str, Any]:
        """Read how the controller is."""
        return self._document("/status")

    def settings(self) -> dict[str, Any]:
        """Read the settings in effect."""
        return self._document("/settings")

    # ---------------------------------------------------------------- Scheduling Blocks
    def add_sbd(self, sbd: SBDefinition) -> StoredSBDefinition:
        """Store an SBDefinition."""
        return read_as(StoredSBDefinition, self._ask("POST", "/sbds", sbd.to_dict()))

    def sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""
        return read_as(SBDefinitionList, self._document("/sbds"))

    def sbd(self, query: SBDefinitionQuery) -> StoredSBDefinition:
        """Read an SBDefinition."""
        path = _with_query(f"/sbds/{query.sbd_id}", {"version": query.version})
        return read_as(StoredSBDefinition, self._document(path))

    def sbis(self, query: SBInstancesQuery) -> SBInstanceList:
        """List SBInstances, newest first."""
        return read_as(SBInstanceList, self._document(_with_query("/sbis", query.to_dict())))

    def sbi(self, query: SBInstanceQuery) -> StoredSBInstance:
        """Read an SBInstance."""
        return read_as(StoredSBInstance, self._document(f"/sbis/{query.sbi_id}"))

    # ---------------------------------------------------------------- news
    def changes(self, kind: Kind[S]) -> Inbox[tuple[S, ...]]:
        """Subscribe to those of a kind that change: each change is a reason to ask."""
        return self._inbox(f"{kind.word}.lifecycle.statechange")

    def new_events(self) -> Inbox[tuple[Event, ...]]:
        """Subscribe to the bus, as above."""
        return self._inbox(None)

    def readiness_changes(self) -> Inbox[str]:
        """Subscribe to why no script can be started, as above."""
        return self._inbox("readiness")

    # ---------------------------------------------------------------- the way of HTTP
    def _inbox(self, topic: str | None) -> Inbox[Any]:
        def subscribe(deliver: Callable[[None], None]) -> Callable[[], None]:
            return self._in_time(partial(self._feed.subscribe, topic, deliver))

        return Inbox(subscribe, lambda news: news)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        reply: dict[str, Any] = self._in_time(partial(self._server.ask, method, path, body))
        return reply

    def _one(self, kind: Kind[S], method: str, path: str, body: dict[str, Any] | None = None) -> S:
        return read_as(kind.model, _summary(self._ask(method, path, body)[kind.word]))

    def _document(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path)

    def _carry_out(self, method: str, path: str, body: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        """Make a request whose reply comes at the end of a long running command."""
        reply: dict[str, Any] = self._server.ask(method, path, body, deadline.at_most(COMMAND_TIMEOUT))
        return reply

    def _in_time(self, question: Callable[[], Reply]) -> Reply:
        return in_time(question, self._deadline, self.uri)


@contextmanager
def _if_there_is(kind: Kind[S], number: int, error: type[NotFound | Rejected]) -> Iterator[None]:
    """Report in the words of the device that there is none."""
    try:
        yield
    except NotFound:
        raise error(f"there is no {kind.word} {number}") from None


def _with_query(path: str, query: dict[str, Any], **names: str) -> str:
    """Add what is asked for to a path, under the names that parameters have, without what is null.

    Raises InvalidArgument for a text that is none, such as half a surrogate pair.
    """
    given = {names.get(key, key): value for key, value in query.items() if value is not None}
    try:
        return f"{path}?{urlencode(given, doseq=True)}"
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"no text of a query: {error}") from None


def _summary(resource: dict[str, Any]) -> dict[str, Any]:
    """Make a summary of a resource, which has a URI and no id. Its arguments `run` are those of `main`."""
    summary = {key: value for key, value in resource.items() if key != "uri"}
    return {"id": int(resource["uri"].rpartition("/")[2]), **summary}
