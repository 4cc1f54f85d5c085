"""Who connects to a port of requests and makes none is disconnected; who was answered may be idle."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.ska.half_open import HalfOpen

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[socket.socket, socket.socket]
HALF_HEADER, HEADER = b"GIOP\1\2", b"GIOP\1\2\1\0\0\0\0\x50"
LONG = 3600.0


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Connect a client; returns its end, and that of the server."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname(), timeout=30.0) as client,
        listening.accept()[0] as server,
    ):
        yield client, server


def looked(pair: Pair, header_secs: float, reply_secs: float) -> int:
    port = pair[1].getsockname()[1]
    return HalfOpen(lambda asked: asked == port, header_secs, reply_secs).look()


def is_disconnected(client: socket.socket) -> bool:
    with suppress(ConnectionError):
        return client.recv(1) == b""
    return True


def received(pair: Pair, content: bytes) -> None:
    client, server = pair
    client.sendall(content)
    assert not content or server.recv(len(content)) == content


@pytest.mark.parametrize("content", [b"", HALF_HEADER])
def test_who_sends_no_header_is_disconnected(pair: Pair, content: bytes) -> None:
    received(pair, content)
    assert looked(pair, 0.0, LONG) == 1
    assert is_disconnected(pair[0])


def test_a_first_request_has_longer(pair: Pair) -> None:
    received(pair, HEADER)
    assert looked(pair, 0.0, LONG) == 0
    assert looked(pair, LONG, 0.0) == 1
    assert is_disconnected(pair[0])


def test_nobody_is_disconnected_before_the_time(pair: Pair) -> None:
    received(pair, HALF_HEADER)
    assert looked(pair, LONG, LONG) == 0


def test_who_was_answered_may_be_idle(pair: Pair) -> None:
    client, server = pair
    received(pair, HALF_HEADER)
    server.sendall(b"answer")
    assert client.recv(6) == b"answer"
    assert looked(pair, 0.0, 0.0) == 0


def test_other_ports_are_left_alone(pair: Pair) -> None:
    received(pair, HALF_HEADER)
    assert HalfOpen(lambda _: False, 0.0, 0.0).look() == 0
