"""Who takes no events is cut off once too much waits; who takes them, however slowly, is not."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ska_oso_oet.ska.subscribers import Subscribers, TcpConnection, own_connections, size_of

if TYPE_CHECKING:
    import pytest

STEP, LIMIT = 10, 100
EVENTS, HEARTBEATS, REQUESTS = 1, 2, 3


def of_requests(port: int) -> bool:
    return port == REQUESTS


class Client:
    """A connection that receives as much of what is pushed as the test wants."""

    def __init__(self, peer: str, port: int = EVENTS) -> None:
        self.peer = peer
        self.host = peer.partition(":")[0]
        self.port = port
        self.unsent = 0
        self.received = 0
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True


def pushed(subscribers: Subscribers, size: int = STEP) -> None:
    subscribers.pushed("x" * size)


def test_the_size_of_values() -> None:
    assert size_of("abc") == 3
    assert size_of(["abc", "d"]) == 4
    assert size_of(7) == size_of(None) == size_of([1, 2]) == 0


def test_who_reads_nothing_is_cut_off_and_named(caplog: pytest.LogCaptureFixture) -> None:
    halted, reading = Client("10.0.0.1:4711"), Client("10.0.0.2:4712")
    # Of the same machine: Tango's client connects again when it misses the heartbeats.
    heartbeat, asking = Client("10.0.0.1:4713", HEARTBEATS), Client("10.0.0.1:4714", REQUESTS)
    subscribers = Subscribers(of_requests, lambda: [halted, reading, heartbeat, asking], LIMIT, STEP)
    halted.unsent = asking.unsent = 1
    for _ in range(LIMIT // STEP + 1):
        pushed(subscribers)
    assert not halted.is_cut
    pushed(subscribers)
    assert [each.is_cut for each in (halted, heartbeat, reading, asking)] == [True, True, False, False]
    [record] = caplog.records
    assert "10.0.0.1:4711 does not read its events" in record.getMessage()


def test_who_reads_them_late_is_not() -> None:
    slow, bursty = Client("a:1"), Client("a:2")
    subscribers = Subscribers(of_requests, lambda: [slow, bursty], LIMIT, STEP)
    for number in range(100):
        slow.unsent, slow.received = 1, slow.received + STEP
        bursty.unsent = int(number % 9 > 0)  # reads nothing for a while, and then everything
        pushed(subscribers)
    assert not slow.is_cut
    assert not bursty.is_cut


def test_connections_are_checked_only_when_much_was_pushed() -> None:
    looks: list[int] = []

    def none() -> list[Client]:
        looks.append(1)
        return []

    subscribers = Subscribers(of_requests, none, LIMIT, STEP)
    for _ in range(95):
        pushed(subscribers, 1)
    assert len(looks) == 9


def test_a_client_of_this_process_is_found_measured_and_cut_off() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            host, port = client.getsockname()
            accepted.sendall(b"x" * 1000)
            assert client.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            accepted.setblocking(False)
            sent = 1000
            try:
                while True:
                    sent += accepted.send(b"x" * 100_000)
            except BlockingIOError:
                pass
            [found] = [each for each in map(_measured, own_connections()) if each[0] == f"{host}:{port}"]
            _, unsent, received = found
            assert unsent > 0
            assert received >= 1000
            # What the operating system of the client has acknowledged, the program need not have read.
            assert unsent + received >= sent
            for each in own_connections():
                if each.peer == f"{host}:{port}":
                    each.cut()
            assert accepted.recv(1) == b""


def _measured(connection: TcpConnection) -> tuple[str, int, int]:
    return connection.peer, connection.unsent, connection.received
