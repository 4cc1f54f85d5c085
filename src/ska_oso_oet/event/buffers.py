"""The buffers of Tango's events, which lose without a word what is beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

EVENT_BUFFER_HWM: Final = "20000"
"""Events that are kept for a slow subscriber, by the server and by the client; cppTango's default is 1000."""
_VARIABLES: Final = ("TANGO_DS_EVENT_BUFFER_HWM", "TANGO_EVENT_BUFFER_HWM")


def raise_event_buffers(environment: MutableMapping[str, str]) -> None:
    """Have Tango keep more events, unless the user says how many; before Tango is loaded."""
    for variable in _VARIABLES:
        environment.setdefault(variable, EVENT_BUFFER_HWM)
