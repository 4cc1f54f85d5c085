"""HttpClient: OETController from Python through its HTTP API, where Tango cannot be used.

::

    with HttpClient("http://my-oet-deployment.com:5000/api/v1.0") as oet:
        oet.run("file:///scripts/observe.py", 14.0)
"""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.client import OETClient, Stopped
from ska_oso_oet.client_http_events import EventFeed, HttpEventStream
from ska_oso_oet.client_http_server import AbortFailed, HttpServer, Message
from ska_oso_oet.client_inbox import CALL_TIMEOUT, Deadline
from ska_oso_oet.client_requests import the_running
from ska_oso_oet.client_waiting import CommandResult
from ska_oso_oet.errors import NotFound, Rejected
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ska_oso_oet.client_http_events import FeedItem

STOP_TIMEOUT: Final = 150.0
"""Seconds that an answer to a stop may take; the server gives up after 120 s."""

_WATCHED: Final = {
    "procedureChanged": "procedure.lifecycle.statechange",
    "activityChanged": "activity.lifecycle.statechange",
}


class HttpClient(OETClient):
    """OETClient over HTTP: the same methods, answers and errors, without Tango.

    `url` is that of the API; one without a path gets `/api/v1.0`. `token` is the bearer token that the
    server asks for. The history and its pruning are not offered over HTTP: those raise Rejected.
    """

    def __init__(self, url: str, call_timeout: float = CALL_TIMEOUT, token: str | None = None) -> None:
        self._server = HttpServer(url, call_timeout, token)
        self._link = HttpLink(self._server)

    def stop(
        self,
        procedure_id: int | None = None,
        *,
        run_abort: bool = True,
        timeout: float | Deadline | None = None,
    ) -> Stopped:
        """End a procedure as OETClient does; raises WaitTimeout also when the server has waited for 120 s."""
        deadline = Deadline.of(timeout)
        if procedure_id is None:
            procedure_id = the_running(self.list())
        abort = self._stop(procedure_id, deadline, run_abort=run_abort)
        procedure = self.describe(procedure_id)
        detail = {"procedure_id": procedure_id, "state": procedure.state.value}
        if procedure.exit is not None and procedure.exit.message:
            detail["message"] = procedure.exit.message
        text = json.dumps({**detail, **({} if abort is None else {"abort": abort})})
        return Stopped(procedure, CommandResult(ResultCode.OK, text))

    def events(
        self, topics: Collection[str] = (), since: int | None = None, epoch: str | None = None
    ) -> HttpEventStream:
        """Listen to the bus: every event exactly once and in order."""
        return HttpEventStream(self._server, self._newest_change, topics, since, epoch)

    def _stop(self, procedure_id: int, deadline: Deadline, *, run_abort: bool) -> dict[str, Any] | None:
        """Stop a procedure; answer how the abort script ended, if it was asked for."""
        body = {"state": ProcedureState.STOPPED.value, "abort": run_abort}
        try:
            self._server.ask(
                "PUT", f"/procedures/{procedure_id}", body, timeout=deadline.at_most(STOP_TIMEOUT)
            )
        except NotFound:
            raise Rejected(f"there is no procedure {procedure_id}") from None
        except AbortFailed as error:
            why = str(error).rpartition("its subarray was not aborted: ")[2]
            return {"state": ProcedureState.FAILED.value, "message": why}
        return {"state": ProcedureState.COMPLETE.value} if run_abort else None

    def _newest_change(self) -> float:
        """Answer when a procedure or an activity has last entered a state, in the controller's time."""
        procedures = [procedure.history.process_states[-1][1] for procedure in self.list()]
        activities = [activity.activity_states[-1][1] for activity in self.list_activities()]
        return max([0.0, *procedures, *activities])


class HttpLink:
    """The HTTP API as a Connection: commands and attributes of the controller become requests.

    News of procedures and activities come with the stream of events, which is opened once they are wanted.
    They do not carry the summary, so that it is asked for.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._feed: EventFeed | None = None
        self._listeners: tuple[tuple[str, Callable[[Any], None]], ...] = ()
        self._commands: dict[str, Callable[[Any], Any]] = {
            "CreateProcedure": self._create,
            "StartProcedure": self._start,
            "RunActivity": self._run_activity,
            "DescribeProcedure": partial(self._describe, "procedure", "procedures"),
            "DescribeActivity": partial(self._describe, "activity", "activities"),
            "GetOutput": self._output,
        }

    @property
    def device(self) -> str:
        """The URL of the API."""
        return self._server.url

    @property
    def uri(self) -> str:
        """The URL of the API."""
        return self._server.url

    def command(self, name: str, argument: object = None) -> Any:
        """Make the request that stands for a command of the device, and answer as the command does."""
        if name not in self._commands:
            raise Rejected(f"the HTTP API does not offer {name}: use Tango")
        return self._commands[name](json.loads(str(argument)))

    def read(self, attribute: str) -> Any:
        """Read `procedures` or `activities`, as JSON."""
        answer = self._server.ask("GET", f"/{attribute}")
        return json.dumps({attribute: [_summary(resource) for resource in answer[attribute]]})

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Call `deliver(None)` for each change, on the stream's thread: a reason to ask."""
        listener = (_WATCHED[attribute], deliver)
        with self._lock:
            if self._feed is None:
                self._feed = EventFeed(self._server, self._on_item)
            self._listeners = (*self._listeners, listener)
        return partial(self._leave, listener)

    def close(self) -> None:
        """End the stream."""
        with self._lock:
            feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()
            feed.join()

    def _leave(self, listener: tuple[str, Callable[[Any], None]]) -> None:
        with self._lock:
            self._listeners = tuple(item for item in self._listeners if item is not listener)

    def _on_item(self, item: FeedItem) -> None:
        changed = item.data.get("topic") if isinstance(item, Message) and not item.name else None
        for topic, deliver in self._listeners:
            if changed in {None, topic}:
                deliver(None)

    def _create(self, command: dict[str, Any]) -> Any:
        answer = self._server.ask("POST", "/procedures", command)
        return [[ResultCode.STARTED], [answer["procedure"]["command_id"]]]

    def _start(self, command: dict[str, Any]) -> Any:
        number, main = command["procedure_id"], command["script_args"]["main"]
        body = {"state": ProcedureState.RUNNING.value, "script_args": {} if main is None else {"run": main}}
        try:
            self._server.ask("PUT", f"/procedures/{number}", body)
        except NotFound:
            raise Rejected(f"there is no procedure {number}") from None
        return [[ResultCode.STARTED], [""]]

    def _run_activity(self, command: dict[str, Any]) -> Any:
        answer = self._server.ask("POST", "/activities", command)
        return [[ResultCode.STARTED], [answer["activity"]["command_id"]]]

    def _describe(self, word: str, collection: str, number: int) -> str:
        if number == 0:
            listed = json.loads(self.read(collection))[collection]
            if not listed:
                raise NotFound(f"there is no {word} yet")
            return json.dumps(max(listed, key=lambda item: int(item["id"])))
        try:
            answer = self._server.ask("GET", f"/{collection}/{number}")
        except NotFound:
            raise NotFound(f"there is no {word} {number}") from None
        return json.dumps(_summary(answer[word]))

    def _output(self, query: dict[str, Any]) -> str:
        number, since = query["procedure_id"], query["since"]
        try:
            return json.dumps(self._server.ask("GET", f"/procedures/{number}/output?since={since}"))
        except NotFound:
            raise NotFound(f"there is no procedure {number}") from None


def _summary(resource: dict[str, Any]) -> dict[str, Any]:
    """Make a summary of a resource, which has a URI and no id. Its arguments `run` are those of `main`."""
    summary = {key: value for key, value in resource.items() if key != "uri"}
    return {"id": int(resource["uri"].rpartition("/")[2]), **summary}
