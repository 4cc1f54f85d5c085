"""The attributes of an SKA device are declared here by the names of the methods behind them."""

from __future__ import annotations

from typing import Any, Final

from tango import AttrWriteType
from tango.server import attribute

from ska_oso_oet.ska.device_attributes import mode_access

MEMORIZED: Final[dict[str, Any]] = {"memorized": True, "hw_memorized": True}


def readable(dtype: Any, method: str, doc: str, **more: Any) -> attribute:
    """Declare an attribute; `read_<method>` returns its value."""
    return attribute(dtype=dtype, fget=f"read_{method}", doc=doc, **more)


def writable(dtype: Any, method: str, doc: str, **more: Any) -> attribute:
    """Declare an attribute that can be written as well; `write_<method>` accepts the value."""
    write = f"write_{method}"
    return readable(dtype, method, doc, fset=write, access=AttrWriteType.READ_WRITE, **more)


def mode(name: str, dtype: type, doc: str) -> attribute:
    """Declare controlMode, simulationMode or testMode."""
    access = mode_access(name)
    return attribute(dtype=dtype, doc=doc, access=AttrWriteType.READ_WRITE, **access, **MEMORIZED)
