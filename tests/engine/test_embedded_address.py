"""The ports of a stack: nobody else is given them, and a server that comes back has them again."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.embedded import StackError
from ska_oso_oet.embedded.address import HeldPort
from ska_oso_oet.rest.listening import SOCKET_VARIABLE, ListeningSocket, PortTaken

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> set[int]:
    """Let the kernel choose."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((LOOPBACK, 0))
        return {each.getsockname()[1] for each in sockets}


@pytest.fixture
def held() -> Iterator[HeldPort]:
    with closing(HeldPort(0, "--port")) as port:
        yield port


def test_a_port_that_is_held_is_given_to_nobody_else(held: HeldPort) -> None:
    with ExitStack() as others:
        numbers = [others.enter_context(closing(HeldPort(0, "--port"))).number for _ in range(100)]
        assert len({held.number, *numbers}) == 101
        assert not {held.number, *numbers} & free_ports(1000)


def test_a_server_that_reuses_addresses_can_listen_there_again_and_again(held: HeldPort) -> None:
    for _ in range(2):
        with socket.create_server((LOOPBACK, held.number)), socket.create_connection((LOOPBACK, held.number)):
            assert not held.is_served


def test_a_server_can_be_handed_the_socket_again_and_again(
    held: HeldPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(held.fileno()))
    for _ in range(2):
        with closing(ListeningSocket("ignored.example", 1)) as listening:
            assert (listening.host, listening.port) == (LOOPBACK, held.number)
            assert held.is_served
            socket.create_connection((LOOPBACK, held.number)).close()
        assert not held.is_served
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, held.number))
        assert held.number not in free_ports(1000)


def test_a_socket_of_somebody_else_is_not_taken_for_ones_own(
    held: HeldPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, str(held.fileno()))
    with socket.create_server((LOOPBACK, held.number)):
        with pytest.raises(PortTaken, match=f"port {held.number} of {LOOPBACK} cannot be used"):
            ListeningSocket(LOOPBACK, 0)
        assert not held.is_served


@pytest.mark.parametrize("number", ["none", "-1", "1000000"])
def test_what_is_no_socket_is_named(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET_VARIABLE, number)
    with pytest.raises(PortTaken, match=f"{SOCKET_VARIABLE}={number} is no socket"):
        ListeningSocket(LOOPBACK, 0)


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} cannot be used: .*; --rest-port 0 takes"):
            HeldPort(port, "--rest-port")
