"""Tango and omniORB read these variables from the environment when they are loaded."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

EVENT_BUFFER_HWM: Final = "20000"
"""Events that are kept for a slow subscriber, by the server and by the client; cppTango's default is 1000.

What is beyond them is lost without a word.
"""
_EVENT_BUFFERS: Final = ("TANGO_DS_EVENT_BUFFER_HWM", "TANGO_EVENT_BUFFER_HWM")
_UNIX_SOCKETS: Final = "ORBunixTransportDirectory"
_SHORT: Final = Path("/tmp")  # noqa: S108 - omniORB's own choice


def prepare_tango(environment: MutableMapping[str, str]) -> None:
    """Set what users have not set themselves; before Tango is loaded."""
    raise_event_buffers(environment)
    let_omniorb_start(environment)


def raise_event_buffers(environment: MutableMapping[str, str]) -> None:
    """Have Tango keep more events, unless the user has set how many; before Tango is loaded."""
    for variable in _EVENT_BUFFERS:
        environment.setdefault(variable, EVENT_BUFFER_HWM)


def let_omniorb_start(environment: MutableMapping[str, str]) -> None:
    """Name a directory for omniORB where it cannot find one itself; before the first use of Tango."""
    if _UNIX_SOCKETS not in environment and not _has_name(os.getuid()):
        # omniORB's own choice is /tmp/omni-<name of the user>, and without a name it fails. It ends the
        # process when the path is too long for a socket, as that of a temporary directory may be.
        place = _SHORT if os.access(_SHORT, os.W_OK) else Path(tempfile.gettempdir())
        environment[_UNIX_SOCKETS] = str(place / f"omni-{os.getuid()}")


def names_databases(tango_host: str) -> bool:
    """Return whether a TANGO_HOST is host:port, or several of them with commas between."""
    addresses = [address.strip().rpartition(":") for address in tango_host.split(",")]
    return all(host and port.isdecimal() for host, _, port in addresses)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
