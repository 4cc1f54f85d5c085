from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet import orb_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[[bytes, int], tuple[str, int]]]:
    """Answer so many clients, none of which has gone before the last one came."""
    threads = []

    def begin(answer: bytes, clients: int) -> tuple[str, int]:
        listening = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            connected = []
            with listening:
                for _ in range(clients):
                    client, _ = listening.accept()
                    connected.append(client)
                    assert client.recv(100).startswith(b"GIOP")
                    client.sendall(answer)
                for client in connected:
                    assert client.recv(1) == b""
                    client.close()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        host, port = listening.getsockname()
        return host, port

    yield begin
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()


def test_so_many_clients_are_connected_at_once(serve: Callable[[bytes, int], tuple[str, int]]) -> None:
    orb_threads.make_threads(serve(b"GIOP\1\0\1\4" + bytes(12), 5), 5)


def test_what_is_no_tango_server_is_left_alone(serve: Callable[[bytes, int], tuple[str, int]]) -> None:
    address = serve(b"\xff\0\0\0\0\0\0\0\1\x7f", 1)
    with pytest.raises(ConnectionError, match="no Tango server"):
        orb_threads.make_threads(address)


def test_a_user_who_wants_threads_to_end_gets_that() -> None:
    environment = {"ORBidleThreadTimeout": "5"}
    orb_threads.keep_idle_threads(environment)
    assert environment == {"ORBidleThreadTimeout": "5"}
