"""The TCP sockets of this process, which Tango and others have opened, are found here."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


def tcp_sockets() -> Iterator[socket.socket]:
    """Duplicate the descriptors of TCP sockets: whoever owns one may close it at any time.

    Files are left alone: to close the duplicate of an SQLite database's descriptor releases the locks on it.
    """
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it has been closed
            if descriptor.is_socket() and (found := _tcp(os.dup(int(descriptor.name)))):
                yield found


def _tcp(descriptor: int) -> socket.socket | None:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError:  # it is something else by now
        os.close(descriptor)
        return None
    if found.family in _FAMILIES and found.type == socket.SOCK_STREAM:
        return found
    found.close()
    return None
