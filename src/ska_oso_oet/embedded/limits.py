"""The parts of a stack must finish within these limits."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TIMEOUT = 180.0
"""Six seconds do on a machine of its own; twenty stacks that start together on two cores need 110 s."""


@dataclass(frozen=True)
class StackLimits:
    """How long each part may need, in seconds, and how often a server is restarted."""

    start: float = DEFAULT_TIMEOUT
    """until every device replies"""
    stop: float = 10.0
    """from SIGTERM to SIGKILL, of a server that has not asked for more time, as the controller does"""
    pauses: tuple[float, ...] = (0.1, 0.5, 2.0, 5.0, 10.0)
    """before each further restart of a server that dies; after the last one the stack ends"""
    stable: float = 60.0
    """a server that ran for so long has its restarts forgiven"""
