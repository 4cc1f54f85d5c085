"""An ExitStatus is how a process ended; Remains are what does not end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """A rung of the stop ladder."""

    SIGTERM = "SIGTERM"
    SIGKILL = "SIGKILL"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: by an exit code, by a signal, or not known (the fork server died before it).

    `rung` is the rung of the stop ladder that worked, None when nobody asked for the end. `error` is the
    reason why a process could not be made at all, why the engine killed it, or that it has not ended at all.
    """

    code: int | None = None
    signal: int | None = None
    rung: Rung | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Remains:
    """Processes that do not end, though they were killed at `since` (seconds since 1970)."""

    pids: frozenset[int]
    since: float
