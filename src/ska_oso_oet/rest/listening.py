"""The HTTP service listens at an address of its own, or with a socket that it was handed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

from ska_oso_oet.errors import OetError

BACKLOG: Final = 1024
SOCKET_VARIABLE: Final = "OET_REST_SOCKET"
"""Number of an inherited descriptor: a bound socket. `oet up` holds it, so that its port is nobody else's."""


class PortTaken(OetError):
    """The service cannot listen where it should."""

    code = "OET_PortTaken"


class ListeningSocket:
    """Listens from its making to `close`; raises PortTaken. `host` is how it is named."""

    def __init__(self, host: str, port: int) -> None:
        inherited = os.environ.get(SOCKET_VARIABLE)
        self.host = host
        if inherited:
            self._socket = _inherited(inherited)
            self.host = str(self._socket.getsockname()[0])
        else:
            self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        try:
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise _taken(self.host, self.port, error) from None

    def handle(self) -> socket.socket:
        """Return a socket that accepts its connections, for who closes what it uses."""
        return self._socket.dup()

    def close(self) -> None:
        """Refuse connections from now on, also where another process holds the socket."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    return PortTaken(f"port {port} of {host} cannot be used: {error.strerror}")


def _inherited(number: str) -> socket.socket:
    try:
        return socket.socket(fileno=os.dup(int(number)))
    except (ValueError, OSError) as error:
        raise PortTaken(f"{SOCKET_VARIABLE}={number} is no socket: {error}") from None


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        # Only for a socket that names its protocol does asyncio turn Nagle's algorithm off (40 ms a reply).
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"address {host} cannot be used: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _taken(host, port, error) from None
    return bound
