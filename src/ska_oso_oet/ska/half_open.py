"""Clients of Tango that connect and never get as far as a request are disconnected.

Each occupies one of omniORB's threads until it counts as idle. That must take longer than clients keep idle
connections themselves (120 s): a client that uses a connection which the server has closed gets a failure for
a server that is well. So these are found in another way: the operating system knows to whom nothing was ever
sent.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from ska_oso_oet.own_sockets import tcp_sockets
from ska_oso_oet.ska.subscribers import TcpConnection, is_in_reference

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

HEADER_SECS: Final = 10.0
"""For the header of a first message, since something came last."""
REPLY_SECS: Final = 60.0
"""For the rest of a first message and the reply to it: a command may take its time."""
LOOK_SECS: Final = 5.0
"""Between two looks."""
_HEADER_BYTES: Final = 12
# tcpi_last_data_recv, tcpi_bytes_received and tcpi_data_segs_out in struct tcp_info of linux/tcp.h
_TCP_INFO: Final = struct.Struct("@52xI72xQ20xI")


class _Talk(NamedTuple):
    """What has happened on a connection."""

    silent_ms: int
    received: int
    sent: int

    @classmethod
    def of(cls, connection: socket.socket) -> _Talk:
        """Read it from the operating system."""
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return cls(*_TCP_INFO.unpack(info))


class HalfOpen:
    """Disconnects who has connected to a port of requests, and has sent no whole message in time."""

    def __init__(
        self,
        is_of_requests: Callable[[int], bool],
        header_secs: float = HEADER_SECS,
        reply_secs: float = REPLY_SECS,
    ) -> None:
        self._is_of_requests = is_of_requests
        self._header_secs = header_secs
        self._reply_secs = reply_secs

    def look(self) -> int:
        """Look at all connections once; returns how many were disconnected."""
        cut = 0
        for each in tcp_sockets():
            with each, suppress(OSError):  # it has been closed, or is not connected
                if self._is_late(_Talk.of(each)):
                    connection = TcpConnection(each)
                    if connection.peer and self._is_of_requests(connection.port):
                        connection.cut()
                        cut += 1
        if cut:
            _log.warning("%d clients connected and sent no whole request; they are disconnected.", cut)
        return cut

    def _is_late(self, talk: _Talk) -> bool:
        limit = self._header_secs if talk.received < _HEADER_BYTES else self._reply_secs
        return talk.sent == 0 and talk.silent_ms >= limit * 1000

    def look_for_ever(self) -> None:
        """Look again and again: nothing reports that a client stays silent."""
        while True:
            time.sleep(LOOK_SECS)
            self.look()


def close_half_open(reference: str) -> None:
    """Disconnect such clients of this server, whose ports a CORBA object reference of its own names."""
    half_open = HalfOpen(lambda port: is_in_reference(port, reference))
    # It has nothing to be stopped for: it ends with the process.
    threading.Thread(target=half_open.look_for_ever, name="half-open", daemon=True).start()
