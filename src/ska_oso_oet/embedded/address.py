"""The ports of a stack are chosen once, and held until its end."""

from __future__ import annotations

import socket

from ska_oso_oet.embedded.child import StackError

HOST = "127.0.0.1"


class HeldPort:
    """A TCP port that the kernel assigns to nobody else who asks for a free one; raises StackError.

    A socket is bound to it and does not listen. A server of the stack listens with this socket, if it can be
    handed one, or with its own, as servers that set SO_REUSEADDR can. Either may come back after a crash.
    `port` is 0 for a free one; `option` is where the user chooses it.
    """

    def __init__(self, port: int, option: str) -> None:
        try:
            chosen = _bound(port)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StackError(f"port {port} cannot be used: {reason}; {option} 0 takes a free one") from None
        self.number = int(chosen.getsockname()[1])
        # Only a socket that was bound to a chosen port keeps it when it has listened and listens no longer.
        self._socket = chosen if port else _bound(self.number)
        if not port:
            chosen.close()

    def close(self) -> None:
        """Let others have the port."""
        self._socket.close()

    def fileno(self) -> int:
        """Name the socket for a child that inherits it."""
        return self._socket.fileno()

    @property
    def is_served(self) -> bool:
        """Whether a child listens with this socket."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections of an earlier stack, which linger for a minute, are no obstacle.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
