"""Clients that do not get on: half a header, half a body, answers that are not taken; too many of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvicorn

from ska_oso_oet.rest.connection import ConnectionPlaces, HttpConnection
from ska_oso_oet.rest.guards import SizeLimit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

DEADLINE = 30.0
HALF = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = HALF + b"\r\n"


class Application:
    """Answers at once, or for `/wait` when it is told to, or for `/much` with more than a socket takes."""

    def __init__(self) -> None:
        self.waiting = threading.Semaphore(0)
        self.go_on = asyncio.Event()
        self.ended = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            self.waiting.release()
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000 if scope["path"] == "/much" else 1):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        self.ended.set()


class Server:
    def __init__(self, places: ConnectionPlaces, body_secs: float) -> None:
        self.application = Application()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = self._listening.getsockname()
        config = uvicorn.Config(
            SizeLimit(self.application, 1000, body_secs),
            http=cast("Any", partial(HttpConnection, places=places)),
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.loop: asyncio.AbstractEventLoop
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.server.serve(sockets=[self._listening])

    def connect(self, content: bytes = b"") -> socket.socket:
        connection = socket.create_connection(self.address, timeout=DEADLINE)
        connection.sendall(content)
        return connection


@contextmanager
def serving(places: ConnectionPlaces, body_secs: float = DEADLINE) -> Iterator[Server]:
    server = Server(places, body_secs)
    server.thread.start()
    try:
        yield server
    finally:
        server.server.should_exit = True
        server.thread.join()


def answer(connection: socket.socket) -> bytes:
    """The first line of what is answered; nothing where the connection was closed."""
    try:
        return connection.recv(1000).partition(b"\r\n")[0]
    except ConnectionError:
        return b""


def test_half_open_connections_keep_nobody_out() -> None:
    with serving(ConnectionPlaces(20)) as server, ExitStack() as held:
        halves = [held.enter_context(closing(server.connect(HALF))) for _ in range(100)]
        for _ in range(3):
            with closing(server.connect(WHOLE)) as asking:
                assert answer(asking) == b"HTTP/1.1 200 OK"
        assert answer(halves[0]) == b""  # the oldest have made room
        halves[-1].sendall(b"\r\n")
        assert answer(halves[-1]) == b"HTTP/1.1 200 OK"


def test_what_is_being_answered_is_not_closed_for_others() -> None:
    with serving(ConnectionPlaces(2)) as server, ExitStack() as held:
        wait = WHOLE.replace(b"/ ", b"/wait ")
        busy = [held.enter_context(closing(server.connect(wait))) for _ in range(2)]
        for _ in busy:
            assert server.application.waiting.acquire(timeout=DEADLINE)
        with closing(server.connect(WHOLE)) as asking:
            assert answer(asking) == b"HTTP/1.1 503 Service Unavailable"
        server.loop.call_soon_threadsafe(server.application.go_on.set)
        for each in busy:
            assert answer(each) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("content", [b"", b"G", HALF])
def test_a_header_comes_in_time(content: bytes) -> None:
    with serving(ConnectionPlaces(20, request_secs=0.2)) as server, closing(server.connect(content)) as half:
        assert answer(half) == b""


def test_a_header_that_trickles_has_no_more_time_than_another() -> None:
    with serving(ConnectionPlaces(20, request_secs=0.5)) as server, closing(server.connect()) as slow:
        slow.settimeout(0.01)
        for number in range(10_000):
            try:
                slow.sendall(b"X" if number else HALF)
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("it was never closed")


def test_a_connection_that_is_kept_has_time_for_the_next_request_only() -> None:
    with serving(ConnectionPlaces(20, request_secs=0.2)) as server, closing(server.connect(WHOLE)) as kept:
        content = b""
        while part := kept.recv(100_000):
            content += part
        assert content.startswith(b"HTTP/1.1 200 OK")


def test_a_body_comes_in_time() -> None:
    header = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    with (
        serving(ConnectionPlaces(20), body_secs=0.2) as server,
        closing(server.connect(header + b"half")) as half,
    ):
        assert answer(half) == b"HTTP/1.1 408 Request Timeout"


def test_an_answer_that_is_not_taken_is_cut() -> None:
    places = ConnectionPlaces(20, stalled_secs=0.2)
    with serving(places) as server, closing(server.connect(WHOLE.replace(b"/ ", b"/much "))) as halted:
        assert server.application.ended.wait(DEADLINE)
        got = 0
        with suppress(ConnectionError):
            while part := halted.recv(1 << 20):
                got += len(part)
        assert got < 100_000_000
