"""OETClient over HTTP: errors, and events through every break of the stream."""

from __future__ import annotations

import json
import queue
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ska_oso_oet import errors
from ska_oso_oet.client.events import Disconnected, Event, EventStream, Gap, NewEpoch, Reconnected
from ska_oso_oet.client.http import HttpClient
from ska_oso_oet.client.http_controller import HttpController
from ska_oso_oet.client.http_server import HttpServer
from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.event.journal import EventJournal, EventsQuery, Origin
from ska_oso_oet.history.queries import HistoryQuery, Pruned
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.client.http_feed import EventFeed

DEADLINE = 20.0


class FakeServer(ThreadingHTTPServer):
    """Answers from `answers` by request, events from a real journal, and streams what the test says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.asked: list[dict[str, Any]] = []
        """The queries for events, in their order."""
        self.answering = threading.Event()
        """Cleared, questions for events and commands wait."""
        self.answering.set()
        self.away = False
        """Whether the controller does not answer."""
        self.opened: queue.Queue[queue.Queue[str | None]] = queue.Queue()
        """What is to be sent by each stream that was opened; None ends it."""
        self.streams: list[queue.Queue[str | None]] = []
        self.ending = False
        self.restart("one")
        self.answer("GET /procedures", {"procedures": []})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1.0"

    def answer(self, request: str, body: Any, status: int = 200) -> None:
        self.answers[request] = (status, json.dumps(body).encode())

    def restart(self, epoch: str, length: int = 10_000) -> None:
        self.journal = EventJournal(epoch, length, lambda: 1.0)

    def publish(self, *topics: str) -> str:
        """Publish an event on each topic, and return what a stream says of them."""
        texts = []
        for topic in topics:
            event = self.journal.append(topic, Origin("7"), {"text": "a"})
            texts.append(f'data:{{"topic": "{topic}"}}\nid:{self.journal.epoch}:{event.seq}\n\n')
        return "".join(texts)

    def end(self) -> None:
        """End all streams, also those that are still to come."""
        self.ending = True
        for said in self.streams:
            said.put(None)

    def feed(self) -> queue.Queue[str | None]:
        """Wait until a stream is opened."""
        return self.opened.get(timeout=DEADLINE)


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
        pass

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        url = urlsplit(self.path.removeprefix("/api/v1.0"))
        if url.path == "/stream":
            self._stream()
        elif url.path == "/events" and not self.server.away:
            self._events({key: int(value) for key, value in parse_qsl(url.query)})
        elif url.path == "/events":
            unreachable = {"error": "503 …", "type": "OET_ControllerUnreachable", "Message": "away"}
            self._answer(503, json.dumps(unreachable).encode())
        else:
            self._answer(*self.server.answers[f"{self.command} {url.path}"])

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.server.answering.wait(DEADLINE)
        with suppress(ConnectionError):  # who asked may no longer wait
            self.do_GET()

    def do_PUT(self) -> None:
        self.do_POST()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def _events(self, query: dict[str, Any]) -> None:
        self.server.asked.append(query)
        assert self.server.answering.wait(DEADLINE)
        self._answer(200, self.server.journal.read(EventsQuery(**query)).encode())

    def _stream(self) -> None:
        said: queue.Queue[str | None] = queue.Queue()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b":\n\n")
        self.server.streams.append(said)
        if self.server.ending:
            return
        self.server.opened.put(said)
        while (text := said.get(timeout=DEADLINE)) is not None:
            self.wfile.write(text.encode())


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.end()
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: FakeServer) -> Iterator[HttpClient]:
    with HttpClient(server.url, DEADLINE) as client:
        yield client


def take(stream: EventStream, count: int) -> list[Any]:
    items = [stream.get(DEADLINE) for _ in range(count)]
    return [(item.epoch, item.seq) if isinstance(item, Event) else item for item in items]


def feed_of(client: HttpClient) -> EventFeed:
    controller = client._controller
    assert isinstance(controller, HttpController)
    return controller._feed


def numbers(*found: int, epoch: str = "one") -> list[tuple[str, int]]:
    return [(epoch, number) for number in found]


# -------------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "OET_InvalidArgument", errors.InvalidArgument),
        (401, "Unauthorized", errors.Rejected),
        (404, "ResourceNotFound", errors.NotFound),
        (409, "OET_Rejected", errors.Rejected),
        (413, "ContentTooLarge", errors.InvalidArgument),
        (502, "OET_HistoryUnavailable", HistoryUnavailable),
        (502, "OET_Error", errors.OetError),
        (503, "OET_ControllerUnreachable", errors.ControllerUnreachable),
        (504, "OET_Timeout", errors.WaitTimeout),
    ],
)
def test_an_error_has_its_own_kind(
    server: FakeServer, status: int, kind: str, error: type[errors.OetError]
) -> None:
    server.answer("GET /x", {"error": f"{status} …", "type": kind, "Message": "why it was"}, status)
    with pytest.raises(error, match="why it was") as caught:
        HttpServer(server.url).ask("GET", "/x")
    assert type(caught.value) is error


def test_another_server_is_no_oet(server: FakeServer) -> None:
    for status, body in ((404, b"<html>not here</html>"), (200, b"hello"), (500, b"[]"), (502, b"{}")):
        server.answers["GET /procedures"] = (status, body)
        with pytest.raises(errors.ControllerUnreachable, match=r"what answers there .* is no OET"):
            HttpServer(server.url).ask("GET", "/procedures")


def test_nobody_there() -> None:
    with FakeServer() as closed:
        url = closed.url
    with pytest.raises(errors.ControllerUnreachable, match=f"nothing answers at {url}: is `oet up`"):
        HttpClient(url).list()
    with pytest.raises(errors.ControllerUnreachable):
        HttpClient(url).events()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:5000",
        "ftp://host/x",
        "http://",
        "http://host:x/",
        "http://u:p@host/",
        "http://host/?a=1",
    ],
)
def test_what_is_no_url_of_a_server(url: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        HttpClient(url)


def test_a_url_without_a_path_gets_the_prefix() -> None:
    assert HttpClient("http://host:1").uri == "http://host:1/api/v1.0"
    assert HttpClient("https://host/sub/api/v1.0/").uri == "https://host/sub/api/v1.0"


def test_a_token_is_shown(server: FakeServer) -> None:
    HttpClient(server.url, token="secret").list()
    assert server.headers[-1]["Authorization"] == "Bearer secret"
    with pytest.raises(errors.InvalidArgument):
        HttpClient(server.url, token="se\ncret")


def procedure(server: FakeServer, state: str) -> dict[str, Any]:
    return {
        "uri": f"{server.url}/procedures/7",
        "command_id": "c",
        "script": {"script_type": "filesystem", "script_uri": "file:///x.py"},
        "script_args": {"init": {"args": [], "kwargs": {}}, "run": {"args": [1], "kwargs": {}}},
        "state": state,
        "subarray_id": None,
        "progress": None,
        "history": {"process_states": [["CREATING", 1.0], [state, 2.0]], "stacktrace": None},
        "exit": None,
    }


@pytest.mark.parametrize(
    ("result", "expected", "done"),
    [
        ({"code": "OK", "procedure_id": 7, "state": "STOPPED"}, (ResultCode.OK, None), True),
        (
            {
                "code": "OK",
                "procedure_id": 7,
                "abort": {"state": "FAILED", "procedure_id": 8, "message": "no"},
            },
            (ResultCode.OK, {"state": "FAILED", "procedure_id": 8, "message": "no"}),
            False,
        ),
        ({"code": "FAILED", "message": "it cannot be"}, (ResultCode.FAILED, None), False),
    ],
)
def test_a_stop_has_the_result_of_the_command(
    server: FakeServer, client: HttpClient, result: dict[str, Any], expected: object, done: object
) -> None:
    stopped = procedure(server, "STOPPED")
    server.answer("PUT /procedures/7", {"procedure": stopped, "result": result})
    server.answer("GET /procedures/7", {"procedure": stopped})
    end = client.stop(7)
    assert json.loads(server.bodies[-1]) == {"state": "STOPPED"}
    assert server.headers[-1]["Prefer"] == "return=representation"
    assert (end.procedure.id, end.procedure.state) == (7, ProcedureState.STOPPED)
    assert (end.result.code, end.abort) == expected
    assert end.done is done
    rest = {key: value for key, value in result.items() if key != "code"}
    assert end.result.text in {json.dumps(rest), "it cannot be"}


def test_a_create_and_a_start_are_one_request_each(server: FakeServer, client: HttpClient) -> None:
    server.answer("POST /procedures", {"procedure": procedure(server, "CREATING")})
    server.answer("PUT /procedures/7", {"procedure": procedure(server, "RUNNING")})
    created = client.create("file:///x.py", 1)
    assert (created.id, created.script_args.main.args) == (7, [1])
    assert client.start(created.id).state is ProcedureState.RUNNING
    assert [path.removeprefix("/api/v1.0") for path in server.paths] == ["/procedures", "/procedures/7"]
    assert [json.loads(body).get("state") for body in server.bodies] == [None, "RUNNING"]


def test_what_is_not_there_cannot_be_stopped(server: FakeServer, client: HttpClient) -> None:
    failure = {"error": "404 …", "type": "ResourceNotFound", "Message": "No information available for PID=7"}
    server.answer("PUT /procedures/7", failure, 404)
    with pytest.raises(errors.Rejected, match="there is no procedure 7"):
        client.stop(7)


def test_a_page_of_the_history(server: FakeServer, client: HttpClient) -> None:
    resource = {
        **procedure(server, "FAILED"),
        "requester": "me@here pid 1",
        "epoch": "one",
        "environment": None,
    }
    server.answer("GET /history", {"procedures": [resource], "total": 9})
    states = [ProcedureState.FAILED, ProcedureState.STOPPED]
    page = client.history(HistoryQuery(state=states, since=1.5, script="a &=é", limit=1))
    assert (page.total, page.procedures[0].id, page.procedures[0].requester) == (9, 7, "me@here pid 1")
    assert page.procedures[0].script_args.main.args == [1]
    assert parse_qsl(server.paths[-1].partition("?")[2]) == [
        ("state", "FAILED"),
        ("state", "STOPPED"),
        ("since", "1.5"),
        ("script", "a &=é"),
        ("limit", "1"),
        ("page", "1"),
    ]
    with pytest.raises(errors.InvalidArgument):
        client.history(HistoryQuery(script="\udc00"))
    server.answer("GET /history", {"procedures": [{"uri": "x/1"}], "total": 1})
    with pytest.raises(errors.OetError, match="another version"):
        client.history()


def test_pruning(server: FakeServer, client: HttpClient) -> None:
    server.answer("POST /history/prune", {"pruned": {"procedures": 2, "activities": 1}})
    assert client.prune_history(keep=10) == Pruned(procedures=2, activities=1)
    assert json.loads(server.bodies[-1]) == {"older_than": None, "keep": 10}
    failure = {"error": "502 …", "type": "OET_Error", "Message": "the history was not pruned: no"}
    server.answer("POST /history/prune", failure, 502)
    with pytest.raises(errors.OetError, match=r"^the history was not pruned: no$"):
        client.prune_history(keep=10)


def test_a_pruning_is_waited_for_no_longer_than_asked(server: FakeServer, client: HttpClient) -> None:
    server.answer("POST /history/prune", {})
    server.answering.clear()
    with pytest.raises(errors.WaitTimeout, match=r"goes on, and was not answered within 0\.\d+ s"):
        client.prune_history(keep=10, timeout=0.1)
    server.answering.set()


# -------------------------------------------------------------------- events
def test_a_stream_begins_now(server: FakeServer, client: HttpClient) -> None:
    server.publish("old", "old")
    with client.events() as stream:
        feed = server.feed()
        feed.put(server.publish("user.x") + ": ping\n\n")
        assert stream.get(DEADLINE) == Event("one", 3, 1.0, "user.x", "7", None, {"text": "a"})
        feed.put(server.publish("user.x"))
        assert take(stream, 1) == numbers(4)
        assert (stream.epoch, stream.seq) == ("one", 4)


def test_a_stream_that_begins_in_the_past_reads_no_more_than_it_needs(
    server: FakeServer, client: HttpClient
) -> None:
    server.publish(*["a"] * 50)
    with client.events(since=47) as stream:
        assert take(stream, 3) == numbers(48, 49, 50)
    assert server.asked == [{"since": 47, "limit": 1}, {"since": 47, "limit": 1000}]


def test_what_the_journal_no_longer_has_is_a_gap(server: FakeServer, client: HttpClient) -> None:
    server.restart("one", length=2)
    server.publish("a", "a", "a", "a")
    with client.events(since=1) as stream:
        assert take(stream, 3) == [Gap("one", 2, 2), *numbers(3, 4)]


def test_topics_are_branches(server: FakeServer, client: HttpClient) -> None:
    with client.events(["procedure", "scan.end"]) as stream:
        feed = server.feed()
        feed.put(server.publish("procedure", "procedures", "scan", "scan.end.ok", "procedure.output"))
        assert take(stream, 3) == numbers(1, 4, 5)


def test_a_flood_is_asked_for_at_once(server: FakeServer, client: HttpClient) -> None:
    """However many messages arrive while a question is answered, they are a reason for one more."""
    count, heard = 900, []

    def on_message(_: object) -> None:
        heard.append(1)
        if len(heard) == count:
            server.answering.set()

    with client.events() as stream:
        feed = server.feed()
        server.asked.clear()
        server.answering.clear()
        unsubscribe = feed_of(client).subscribe(None, on_message)
        feed.put(server.publish(*["user.x"] * count))
        assert take(stream, count) == numbers(*range(1, count + 1))
        assert stream._inbox._queue.qsize() <= 1
        unsubscribe()
    assert len(server.asked) == 1


def test_a_feed_that_ends_is_a_reason_to_ask_and_so_is_its_return(
    server: FakeServer, client: HttpClient
) -> None:
    reasons: queue.Queue[None] = queue.Queue()
    unsubscribe = feed_of(client).subscribe(None, reasons.put)
    server.feed().put(None)
    for _ in ("ended", "opened again"):
        reasons.get(timeout=DEADLINE)
    feed = server.feed()
    feed.put(server.publish("user.x"))
    reasons.get(timeout=DEADLINE)
    feed.put('event:disconnected\ndata:{"message": "away"}\n\n')
    reasons.get(timeout=DEADLINE)
    unsubscribe()
    assert reasons.empty()


def test_a_wait_is_told_of_what_it_waits_for(server: FakeServer, client: HttpClient) -> None:
    heard: queue.Queue[str] = queue.Queue()
    for name, topic in (
        ("procedureChanged", "procedure.lifecycle.statechange"),
        ("activityChanged", "activity.lifecycle.statechange"),
        ("event", None),
    ):
        feed_of(client).subscribe(topic, lambda _, name=name: heard.put(name))  # type: ignore[misc]
    feed = server.feed()
    topics = ("user.x", "activity.lifecycle.statechange", "procedure.lifecycle.statechange")
    feed.put(server.publish(*topics) + 'event:reconnected\ndata:{"epoch": "one"}\n\n')
    expected = ["event", "activityChanged", "event", "procedureChanged", "event"]
    expected += ["procedureChanged", "activityChanged", "event"]
    assert [heard.get(timeout=DEADLINE) for _ in expected] == expected


def test_nothing_is_lost_where_the_feed_breaks(server: FakeServer, client: HttpClient) -> None:
    with client.events() as stream:
        feed = server.feed()
        feed.put(server.publish("a"))
        assert take(stream, 1) == numbers(1)
        server.publish("a", "a")
        feed.put(None)
        assert take(stream, 2) == numbers(2, 3)
        feed = server.feed()
        feed.put(server.publish("a"))
        assert take(stream, 1) == numbers(4)


def test_a_controller_that_is_away_is_told_and_missed_nothing(server: FakeServer, client: HttpClient) -> None:
    with client.events() as stream:
        feed = server.feed()
        server.away = True
        feed.put('event:disconnected\ndata:{"message": "away"}\n\n')
        assert take(stream, 1) == [Disconnected(f"cannot reach {server.url}: away")]
        server.publish("a")
        server.away = False
        feed.put('event:reconnected\ndata:{"epoch": "one"}\n\n')
        assert take(stream, 2) == [Reconnected("one"), *numbers(1)]
        server.restart("two")
        feed.put(server.publish("a"))
        assert take(stream, 2) == [NewEpoch("two", "one", 1), *numbers(1, epoch="two")]


def test_a_server_that_ends_is_told(server: FakeServer, client: HttpClient) -> None:
    with client.events() as stream:
        feed = server.feed()
        server.away = True
        feed.put(None)
        assert take(stream, 1) == [Disconnected(f"cannot reach {server.url}: away")]
        server.away = False
        server.feed()
        assert take(stream, 1) == [Reconnected("one")]


def test_closing_ends_an_iteration(server: FakeServer, client: HttpClient) -> None:
    stream = client.events()
    server.feed().put(server.publish("a", "a"))
    iterator = iter(stream)
    next(iterator)
    stream.close()
    assert list(iterator) == []
    stream.close()


def test_closing_wakes_who_waits(server: FakeServer, client: HttpClient) -> None:
    inbox = client._controller.new_events()
    got: queue.Queue[Any] = queue.Queue()
    waiting = threading.Thread(target=lambda: got.put(inbox.get(10 * DEADLINE)))
    waiting.start()
    inbox.close()
    assert got.get(timeout=DEADLINE) is None
    waiting.join()


def test_a_closed_client_has_no_thread(server: FakeServer) -> None:
    with HttpClient(server.url) as client:
        client.events().close()
        assert feeds() == 1
    assert feeds() == 0


def feeds() -> int:
    return sum(thread.name == "oet-http-events" for thread in threading.enumerate())
