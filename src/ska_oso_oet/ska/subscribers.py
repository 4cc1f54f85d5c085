"""The events that wait for Tango's subscribers have a bound in bytes.

Tango bounds them by a number of events for each subscriber, whatever their size: 20,000 events of 200 kB are
4 GB that a halted program keeps in the device server's memory. The operating system knows how much each
connection has received, so one that leaves too much is cut off here. Tango's client library connects again
when it misses the heartbeats of the server. These have a connection of their own, so it is cut off too.
"""

from __future__ import annotations

import fcntl
import logging
import socket
import struct
import termios
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ska_oso_oet.own_sockets import tcp_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 64 * 1024 * 1024
"""Bytes that may wait for a subscriber."""
CHECK_BYTES: Final = 8 * 1024 * 1024
"""The connections are checked each time so many bytes of events have been pushed."""
_BYTES_ACKED: Final = struct.Struct("@120xQ")  # tcpi_bytes_acked in struct tcp_info of linux/tcp.h


class SubscriberConnection(Protocol):
    """A connection of a client to this process."""

    @property
    def peer(self) -> str:
        """Where the client is."""

    @property
    def host(self) -> str:
        """The machine of the client."""

    @property
    def port(self) -> int:
        """The port of this process."""

    @property
    def unsent(self) -> int:
        """Bytes that the operating system has and the client has not; 0 when nothing waits."""

    @property
    def received(self) -> int:
        """Bytes that the client has received since it connected."""

    def cut(self) -> None:
        """Disconnect the client."""


class _Mark(NamedTuple):
    """When events began to wait for a client, and how much had been pushed and received by then."""

    since: float
    pushed: int
    received: int


class Subscribers:
    """Cuts off the subscribers that leave more than `limit` bytes of events waiting; for one thread.

    `connections` returns those that there are; they are checked each time `step` bytes have been pushed.
    `is_of_requests` returns whether a port of this process is for requests, not for subscribers.
    """

    def __init__(
        self,
        is_of_requests: Callable[[int], bool],
        connections: Callable[[], Iterable[SubscriberConnection]] | None = None,
        limit: int = MAX_WAITING,
        step: int = CHECK_BYTES,
    ) -> None:
        self._is_of_requests = is_of_requests
        self._connections = connections or own_connections
        self._limit = limit
        self._step = step
        self._pushed = 0
        self._checked = 0
        self._behind: dict[str, _Mark] = {}

    def pushed(self, value: object) -> None:
        """Note that an event with this value was pushed to all subscribers."""
        self._pushed += size_of(value)
        if self._pushed - self._checked >= self._step:
            self._checked = self._pushed
            self._check()

    def _check(self) -> None:
        before, self._behind = self._behind, {}
        late: set[str] = set()
        for connection in self._connections():
            with suppress(OSError):  # it has been closed meanwhile
                unsent = connection.unsent and not self._is_of_requests(connection.port)
                if unsent and self._is_late(connection, before.get(connection.peer)):
                    late.add(connection.host)
                    connection.cut()
        if late:
            self._cut_all(late)

    def _cut_all(self, hosts: set[str]) -> None:
        # It is not known which connection of heartbeats belongs to which connection of events. So a good
        # client on the same machine is cut off too, and connects again within some seconds.
        for connection in self._connections():
            with suppress(OSError):
                if connection.host in hosts and not self._is_of_requests(connection.port):
                    connection.cut()

    def _is_late(self, connection: SubscriberConnection, mark: _Mark | None) -> bool:
        mark = mark or _Mark(time.time(), self._pushed, connection.received)
        waiting = (self._pushed - mark.pushed) - (connection.received - mark.received)
        if waiting <= self._limit:
            self._behind[connection.peer] = mark
            return False
        _log.warning(
            "The client at %s does not read its events, of which %d MB have come up since %s UTC. It is cut "
            "off, and loses them; it can read again what the journal has.",
            connection.peer,
            waiting // 1_000_000,
            time.strftime("%H:%M:%S", time.gmtime(mark.since)),
        )
        return True


def size_of(value: object) -> int:
    """Count the characters of the value of an attribute; numbers have none that matter."""
    if isinstance(value, str):
        return len(value)
    return sum(map(size_of, value)) if isinstance(value, list | tuple) else 0


@dataclass
class TcpConnection:
    """A TCP connection that a client has made to a socket that this process listens on."""

    _socket: socket.socket

    @property
    def peer(self) -> str:
        """Address and port of the client."""
        host, port = self._socket.getpeername()[:2]
        return f"{host}:{port}"

    @property
    def host(self) -> str:
        """Address of the client."""
        return str(self._socket.getpeername()[0])

    @property
    def port(self) -> int:
        """Port of this process."""
        return int(self._socket.getsockname()[1])

    @property
    def unsent(self) -> int:
        """Bytes in the operating system's queue, also those on their way."""
        (unsent,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))
        return int(unsent)

    @property
    def received(self) -> int:
        """Bytes that the client's operating system has acknowledged."""
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        return int(_BYTES_ACKED.unpack(info)[0])

    def cut(self) -> None:
        """Disconnect at once, and forget what is on its way."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.shutdown(socket.SHUT_RDWR)


def own_connections() -> Iterator[TcpConnection]:
    """Find the connections that clients have to this process; each is good until the next is asked for.

    Tango does not report which sockets are those of its events.
    """
    ports: set[int] = set()
    connected: list[socket.socket] = []
    try:
        for each in tcp_sockets():
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                ports.add(each.getsockname()[1])
                each.close()
            else:
                connected.append(each)
        for each in connected:
            with suppress(OSError):  # it is no longer connected
                if each.getsockname()[1] in ports:
                    yield TcpConnection(each)
    finally:
        for each in connected:
            each.close()


def is_in_reference(port: int, reference: str) -> bool:
    """Return whether a CORBA object reference (`IOR:…`) names a port, as it does that of requests."""
    content = bytes.fromhex(reference.removeprefix("IOR:"))
    return any(struct.pack(order, port) in content for order in ("<H", ">H"))
