"""A debugger can attach to a running device (extra `debug`)."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from ska_oso_oet.errors import OetError

__all__ = ["DebuggerNotInstalled", "start_debugger"]

PREFERRED_PORT: Final = 5678


class DebuggerNotInstalled(OetError):
    """The package debugpy is not installed beside the device."""

    code = "OET_DebuggerNotInstalled"


_listening: int | None = None


def start_debugger() -> int:
    """Let a debugger attach to this process on the loopback interface; return the TCP port.

    The port is 5678, or a free one if that is in use. The debugger cannot be stopped again.
    """
    global _listening
    if _listening is None:
        try:
            debugpy = import_module("debugpy")
        except ImportError:
            raise DebuggerNotInstalled(
                "debugpy is not installed where this device runs: pip install 'ska-oso-oet[debug]'"
            ) from None
        try:
            _, _listening = debugpy.listen(("127.0.0.1", PREFERRED_PORT))
        except RuntimeError:
            _, _listening = debugpy.listen(("127.0.0.1", 0))
    assert _listening is not None  # noqa: S101 - for the type checker
    return _listening
