"""A requester is named from what Tango knows of a client, so that an operator can read it."""

from __future__ import annotations

import os
import platform
import pwd
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tango.server import Device

_LOOPBACK = ("127.", "::1", "[::1]")


def requester_of(device: Device) -> str | None:
    """Name the client whose request is being carried out: `user@host pid 42`, without what is not known.

    Tango knows the address and the process id. The user is that of the process, if it runs on this machine.
    """
    ident: Any = device.get_client_ident()
    if ident is None or not ident.client_ident:
        return None
    return describe(str(ident.client_ip), int(ident.client_pid))


def describe(address: str, pid: int) -> str:
    """Describe a client by its ORB end point (`giop:tcp:127.0.0.1:39722`, `giop:unix:…`) and process id."""
    protocol, _, rest = address.removeprefix("giop:").partition(":")
    host = rest.rpartition(":")[0] if protocol == "tcp" else ""
    local = not host or host.startswith(_LOOPBACK)
    name = f"{platform.node() if local else host} pid {pid}"
    with suppress(OSError, KeyError):  # it has ended, or its user has no name here
        if local:
            return f"{pwd.getpwuid(os.stat(f'/proc/{pid}').st_uid).pw_name}@{name}"  # noqa: PTH116 - no file
    return name
