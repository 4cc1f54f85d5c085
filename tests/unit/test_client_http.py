"""OETClient over HTTP: errors, and events through every break of the stream."""

from __future__ import annotations

import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet import errors
from ska_oso_oet.client_calls import HistoryAway
from ska_oso_oet.client_events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.client_http import HttpClient
from ska_oso_oet.client_http_server import AbortFailed, HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.client_events import Events

OPENED = 1_000_000_000
"""When every stream of the fake server says that it was opened."""
DEADLINE = 20.0


class FakeServer(ThreadingHTTPServer):
    """Answers from a script: `answers` by request, `streams` one after another, the last one stays open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.streams: list[list[str]] = []
        self.asked: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.ended = threading.Event()
        self.answer("GET /procedures", {"procedures": []})
        self.answer("GET /activities", {"activities": []})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1.0"

    def answer(self, request: str, body: Any, status: int = 200) -> None:
        self.answers[request] = (status, json.dumps(body).encode())


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(OPENED, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
        pass

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        if self.path.endswith("/stream"):
            self._stream()
            return
        request = f"{self.command} {self.path.removeprefix('/api/v1.0')}"
        status, body = self.server.answers[request]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        self.server.asked.append(self.headers["Last-Event-ID"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b":\n\n")
        for text in self.server.streams.pop(0):
            self.wfile.write(text.encode())
        if not self.server.streams:
            self.server.ended.wait()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: FakeServer) -> Iterator[HttpClient]:
    with HttpClient(server.url, DEADLINE) as client:
        yield client


def sse(seq: int, topic: str = "user.x", time: Any = OPENED + 10, epoch: str = "one", **data: Any) -> str:
    content = {"time": time, "msg_src": "7", "topic": topic, **data}
    return f"data:{json.dumps(content)}\nid:{epoch}:{seq}\n\n"


def named(name: str, position: str | None = None, **data: Any) -> str:
    place = "" if position is None else f"id:{position}\n"
    return f"event:{name}\ndata:{json.dumps(data)}\n{place}\n"


BEGINNING = named("epoch", "one:0", epoch="one", previous="-")


def take(stream: Events, count: int) -> list[Any]:
    items = [stream.get(DEADLINE) for _ in range(count)]
    return [(item.epoch, item.seq) if isinstance(item, Event) else item for item in items]


# -------------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "OET_InvalidArgument", errors.InvalidArgument),
        (401, "Unauthorized", errors.Rejected),
        (404, "ResourceNotFound", errors.NotFound),
        (409, "OET_Rejected", errors.Rejected),
        (413, "ContentTooLarge", errors.InvalidArgument),
        (502, "OET_AbortFailed", AbortFailed),
        (502, "OET_HistoryUnavailable", HistoryAway),
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
    with pytest.raises(errors.ControllerUnreachable, match=f"cannot reach {url}: .*refused"):
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


def test_what_http_does_not_offer_is_refused(client: HttpClient) -> None:
    with pytest.raises(errors.Rejected, match="GetHistory: use Tango"):
        client.history()
    with pytest.raises(errors.Rejected, match="PruneHistory"):
        client.prune_history(keep=10)


# -------------------------------------------------------------------- events
def test_a_stream_begins_now(server: FakeServer, client: HttpClient) -> None:
    server.streams = [[sse(8, text="a", request_id=3), ": ping\n\n", sse(9, epoch="one")]]
    with client.events() as stream:
        first = stream.get(DEADLINE)
        assert first == Event("one", 8, OPENED + 10, "user.x", "7", 3, {"text": "a"})
        assert take(stream, 1) == [("one", 9)]
        assert (stream.epoch, stream.seq) == ("one", 9)
    assert server.asked == [None]


def test_a_broken_stream_goes_on_after_its_last_event(server: FakeServer, client: HttpClient) -> None:
    server.streams = [
        [sse(8), sse(9)],
        [sse(9), named("gap", "one:12", epoch="one", first_seq=10, last_seq=12), sse(13)],
    ]
    with client.events() as stream:
        assert take(stream, 4) == [("one", 8), ("one", 9), Gap("one", 10, 12), ("one", 13)]
    assert server.asked == [None, "one:9"]


def test_a_stream_that_breaks_before_its_first_event_misses_none(
    server: FakeServer, client: HttpClient
) -> None:
    gap = named("gap", "one:1", epoch="one", first_seq=1, last_seq=1)
    server.streams = [[], [BEGINNING, gap, sse(2, time=OPENED - 5), sse(3), sse(4)]]
    with client.events() as stream:
        assert take(stream, 2) == [("one", 3), ("one", 4)]
    assert server.asked == [None, "-:0"]


def test_a_number_without_an_epoch_is_of_the_running_one(server: FakeServer, client: HttpClient) -> None:
    old = OPENED - 5
    server.streams = [
        [
            BEGINNING,
            named("gap", "one:5", epoch="one", first_seq=1, last_seq=5),
            sse(6, time=old),
            sse(7, time=old),
            sse(8),
        ]
    ]
    with client.events(since=3) as stream:
        assert take(stream, 4) == [Gap("one", 4, 5), ("one", 6), ("one", 7), ("one", 8)]
    server.streams = [[BEGINNING, sse(6, time=old), sse(7, time=old), sse(8)]]
    with client.events(since=7) as stream:
        assert take(stream, 1) == [("one", 8)]
    assert server.asked == ["-:0", "-:0"]


def test_a_number_that_is_not_reached_is_of_another_life(server: FakeServer, client: HttpClient) -> None:
    server.streams = [[BEGINNING, sse(6, time=OPENED - 5), sse(7), sse(8)]]
    with client.events(since=99) as stream:
        assert take(stream, 3) == [NewEpoch("one", ""), ("one", 7), ("one", 8)]


def test_a_restarted_controller_is_a_new_epoch(server: FakeServer, client: HttpClient) -> None:
    server.streams = [
        [
            sse(8),
            named("disconnected", message="away"),
            named("disconnected", message="away"),
            named("reconnected", epoch="two"),
            named("epoch", "two:0", epoch="two", previous="one"),
            sse(1, epoch="two"),
        ]
    ]
    with client.events() as stream:
        assert take(stream, 5) == [
            ("one", 8),
            Disconnected("away"),
            Reconnected("one"),
            NewEpoch("two", "one"),
            ("two", 1),
        ]


def test_topics_are_branches(server: FakeServer, client: HttpClient) -> None:
    topics = ("procedure", "procedures", "scan", "scan.end.ok", "procedure.lifecycle.ready")
    server.streams = [[sse(number, topic) for number, topic in enumerate(topics, 1)]]
    with client.events(["procedure", "scan.end"]) as stream:
        assert take(stream, 3) == [("one", 1), ("one", 4), ("one", 5)]


def test_drain_gives_all_up_to_the_newest_change(server: FakeServer, client: HttpClient) -> None:
    changed = sse(4, "activity.lifecycle.statechange", time=OPENED + 50.5)
    server.streams = [[sse(2), sse(3), changed]]
    with client.events(["user"]) as stream:
        activity: dict[str, Any] = {
            "uri": f"{server.url}/activities/1",
            "command_id": "c",
            "procedure_id": None,
            "sbd_id": "sbd-1",
            "sbd_version": None,
            "sbi_id": None,
            "activity_name": "greet",
            "prepare_only": False,
            "script_args": {"init": {"args": [], "kwargs": {}}, "run": {"args": [], "kwargs": {}}},
            "activity_states": [["REQUESTED", OPENED + 50.4], ["FAILED", OPENED + 50.5]],
            "state": "FAILED",
            "message": "no",
        }
        server.answer("GET /activities", {"activities": [activity]})
        assert [item.seq for item in stream.drain() if isinstance(item, Event)] == [2, 3]


def test_closing_ends_an_iteration(server: FakeServer, client: HttpClient) -> None:
    server.streams = [[sse(1), sse(2)]]
    stream = client.events()
    iterator = iter(stream)
    next(iterator)
    stream.close()
    assert list(iterator) == []
    stream.close()


def test_what_a_script_calls_time_is_no_time(server: FakeServer, client: HttpClient) -> None:
    server.streams = [[sse(1, time="noon")]]
    with client.events() as stream:
        event = stream.get(DEADLINE)
        assert isinstance(event, Event)
        assert event.time == 0.0
