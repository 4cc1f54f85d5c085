"""HttpClient: OETController from Python through its HTTP API, where Tango cannot be used.

::

    with HttpClient("http://my-oet-deployment.com:5000/api/v1.0") as oet:
        oet.run("file:///scripts/observe.py", 14.0)
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ska_oso_oet.client.http_feed import EventFeed
from ska_oso_oet.client.http_server import HttpServer
from ska_oso_oet.client.inbox import CALL_TIMEOUT, Deadline
from ska_oso_oet.client.oet_client import OETClient
from ska_oso_oet.client.requests import created_last, the_running
from ska_oso_oet.client.waiting import CommandResult
from ska_oso_oet.errors import InvalidArgument, NotFound, Rejected
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ska_oso_oet.models import Model
    from ska_oso_oet.procedure.domain import ProcedureSummary

    _Listener = tuple[str | None, Callable[[Any], None]]

COMMAND_TIMEOUT: Final = 150.0
"""Seconds that an answer to a stop or a pruning may take; the server gives up after 120 s."""

_WATCHED: Final = {
    "event": None,
    "procedureChanged": "procedure.lifecycle.statechange",
    "activityChanged": "activity.lifecycle.statechange",
    "whyNotReady": "readiness",
}
"""Attributes that can be listened to, and the topic whose events tell that they have changed; None is any."""


class HttpClient(OETClient):
    """OETClient over HTTP: the same methods, answers and errors, without Tango.

    `url` is that of the API; one without a path gets `/api/v1.0`. `token` is the bearer token that the
    server asks for.
    """

    _link: HttpLink

    def __init__(self, url: str, call_timeout: float = CALL_TIMEOUT, token: str | None = None) -> None:
        self._link = HttpLink(HttpServer(url, call_timeout, token))

    def _last_of_user(self) -> ProcedureSummary:
        # Whoever asks over HTTP is the same user to the controller.
        return created_last(self.list())

    def _to_stop(self, procedure_id: int | None, asking: OETClient) -> int:
        return the_running(asking.list()) if procedure_id is None else procedure_id

    def _carry_out(self, command: str, argument: Model, deadline: Deadline) -> CommandResult:
        return self._link.carry_out(command, argument.to_dict(), deadline.at_most(COMMAND_TIMEOUT))


class HttpLink:
    """The HTTP API as a Connection: commands and attributes of the controller become requests.

    Subscriptions share the stream of events, which is opened once the first is made, and kept. What it
    carries is only a reason to ask.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._feed: EventFeed | None = None
        self._listeners: tuple[_Listener, ...] = ()
        self._commands: dict[str, Callable[[Any], Any]] = {
            "CreateProcedure": self._create,
            "StartProcedure": self._start,
            "RunActivity": self._run_activity,
            "DescribeProcedure": partial(self._describe, "procedure", "procedures"),
            "DescribeActivity": partial(self._describe, "activity", "activities"),
            "GetOutput": self._output,
            "GetEvents": self._events,
            "GetHistory": self._history,
            "GetStatus": partial(self._document, "/status"),
            "GetSettings": partial(self._document, "/settings"),
        }
        self._long_running: dict[str, Callable[[dict[str, Any], float], CommandResult]] = {
            "PruneHistory": self._prune,
            "StopProcedure": self._stop,
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
        return self._commands[name](None if argument is None else json.loads(str(argument)))

    def carry_out(self, name: str, argument: dict[str, Any], timeout: float) -> CommandResult:
        """Make the request that stands for a long running command; it is answered at the command's end."""
        return self._long_running[name](argument, timeout)

    def read(self, attribute: str) -> Any:
        """Read `procedures` or `activities`, as JSON."""
        answer = self._server.ask("GET", f"/{attribute}")
        return json.dumps({attribute: [_summary(resource) for resource in answer[attribute]]})

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Call `deliver(None)` for each change, on the stream's thread: a reason to ask."""
        listener = (_WATCHED[attribute], deliver)
        with self._lock:
            if self._feed is None:
                self._feed = EventFeed(self._server, self._on_news)
            self._listeners = (*self._listeners, listener)
        return partial(self._leave, listener)

    def close(self) -> None:
        """End the stream."""
        with self._lock:
            feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()

    def _leave(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners = tuple(item for item in self._listeners if item is not listener)

    def _on_news(self, topic: str | None) -> None:
        for wanted, deliver in self._listeners:
            if topic is None or wanted in {None, topic}:
                deliver(None)

    def _document(self, path: str, _: None) -> str:
        return json.dumps(self._server.ask("GET", path))

    def _create(self, command: dict[str, Any]) -> Any:
        answer = self._server.ask("POST", "/procedures", command)
        return [[ResultCode.STARTED], [answer["procedure"]["command_id"]]]

    def _start(self, command: dict[str, Any]) -> Any:
        number, main = command["procedure_id"], command["script_args"]["main"]
        body = {"state": ProcedureState.RUNNING.value, "script_args": {} if main is None else {"run": main}}
        with _if_there_is("procedure", number, Rejected):
            self._server.ask("PUT", f"/procedures/{number}", body)
        return [[ResultCode.STARTED], [""]]

    def _stop(self, command: dict[str, Any], timeout: float) -> CommandResult:
        number = command["procedure_id"]
        body = {"state": ProcedureState.STOPPED.value}
        if command["run_abort"] is not None:
            body["abort"] = command["run_abort"]
        with _if_there_is("procedure", number, Rejected):
            answer = self._server.ask("PUT", f"/procedures/{number}", body, timeout=timeout)
        result = answer["result"]
        code = ResultCode[result.pop("code")]
        return CommandResult(code, result["message"] if set(result) == {"message"} else json.dumps(result))

    def _run_activity(self, command: dict[str, Any]) -> Any:
        answer = self._server.ask("POST", "/activities", command)
        return [[ResultCode.STARTED], [answer["activity"]["command_id"]]]

    def _describe(self, word: str, collection: str, number: int) -> str:
        if number == 0:
            listed = json.loads(self.read(collection))[collection]
            if not listed:
                raise NotFound(f"there is no {word} yet")
            return json.dumps(max(listed, key=lambda item: int(item["id"])))
        with _if_there_is(word, number, NotFound):
            answer = self._server.ask("GET", f"/{collection}/{number}")
        return json.dumps(_summary(answer[word]))

    def _output(self, query: dict[str, Any]) -> str:
        number, since = query["procedure_id"], query["since"]
        with _if_there_is("procedure", number, NotFound):
            return json.dumps(self._server.ask("GET", f"/procedures/{number}/output?since={since}"))

    def _events(self, query: dict[str, Any]) -> str:
        return json.dumps(self._server.ask("GET", _with_query("/events", query, topics="topic")))

    def _history(self, query: dict[str, Any]) -> str:
        page = self._server.ask("GET", _with_query("/history", query))
        return json.dumps({**page, "procedures": [_summary(entry) for entry in page["procedures"]]})

    def _prune(self, query: dict[str, Any], timeout: float) -> CommandResult:
        answer = self._server.ask("POST", "/history/prune", query, timeout=timeout)
        return CommandResult(ResultCode.OK, json.dumps(answer["pruned"]))


@contextmanager
def _if_there_is(word: str, number: int, error: type[NotFound | Rejected]) -> Iterator[None]:
    """Say in the words of the device that there is none."""
    try:
        yield
    except NotFound:
        raise error(f"there is no {word} {number}") from None


def _with_query(path: str, query: dict[str, Any], **names: str) -> str:
    """Add what is asked for to a path, under the names that parameters have; what is not said is left out.

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
