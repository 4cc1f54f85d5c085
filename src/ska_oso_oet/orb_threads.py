"""Threads of a Tango server are there before clients come, and stay.

omniORB makes a thread for each client when it connects. Where the operating system makes none, since a limit
of processes is reached, a new client could not even stop what has used them up. It keeps threads that have
nothing to do, though, for as long as it is configured.
"""

from __future__ import annotations

import logging
import socket
import struct
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from ska_oso_oet.own_sockets import tcp_sockets

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_log = logging.getLogger(__name__)
KEPT: Final = 16
"""Clients that find a thread whatever else happens."""
_TIMEOUT_SECS: Final = 5.0
_FOR_EVER: Final = 10 * 365 * 24 * 3600
# GIOP 1.0, little-endian: a LocateRequest for an object that does not exist, to which only a thread replies.
_BODY: Final = struct.pack("<II4s", 1, 4, b"none")
_LOCATE_REQUEST: Final = b"GIOP\1\0\1\3" + struct.pack("<I", len(_BODY)) + _BODY
_LONGEST: Final = 4096


def keep_idle_threads(environment: MutableMapping[str, str]) -> None:
    """Have omniORB keep its threads; before Tango is loaded. A value that is set already stays."""
    environment.setdefault("ORBidleThreadTimeout", str(_FOR_EVER))


def make_threads(address: tuple[str, int], count: int = KEPT) -> None:
    """Have the server at `address` make threads for so many clients; raises OSError if it is none."""
    with ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(closing(socket.create_connection(address, timeout=_TIMEOUT_SECS)))
            client.sendall(_LOCATE_REQUEST)
            if not client.recv(_LONGEST).startswith(b"GIOP"):
                raise ConnectionError(f"what listens at {address} is no Tango server")


def make_own_threads() -> None:
    """Have this process, a Tango server that has been initialised, make threads for its clients."""
    for address in own_addresses():
        try:
            make_threads(address)
        except OSError as error:  # events have ports of their own
            _log.debug("no threads were made for %s: %s", address, error)


def own_addresses() -> list[tuple[str, int]]:
    """Find where this process listens to TCP."""
    found = []
    for each in tcp_sockets():
        with each:
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append((str(each.getsockname()[0]), int(each.getsockname()[1])))
    return found
