"""CommandRecord has what is known of one long running command, in the notation of the SKA contract."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ska_oso_oet.ska.control_model import ResultCode, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FINAL", "CommandLimits", "CommandRecord", "Outcome", "Result", "new_command_id"]

Result = tuple[ResultCode, str]
"""How a command ended: what SKA clients test, and a text for the operator."""

FINAL: Final = frozenset({TaskStatus.ABORTED, TaskStatus.COMPLETED, TaskStatus.REJECTED, TaskStatus.FAILED})

FINISHED_KEPT: Final = 100
"""Finished commands that stay in lrcFinished: the whole list is pushed at each end."""


@dataclass(frozen=True)
class CommandLimits:
    """How many commands a device accepts; the sizes of its attributes follow the rule of ska-tango-base."""

    max_queued: int = 32
    max_executing: int = 32
    remembered: int = 10_000
    """Finished commands whose outcome can be asked for by id: more than end before a slow client asks."""

    @property
    def sizes(self) -> dict[str, int]:
        """The max_dim_x of each attribute that lists commands."""
        executing = max(self.max_executing, 2)
        known = max(2 * self.max_queued + executing, 32)
        return {
            "longRunningCommandsInQueue": known,
            "longRunningCommandIDsInQueue": known,
            "longRunningCommandStatus": 2 * known,
            "longRunningCommandInProgress": self.max_executing,
            "longRunningCommandProgress": 2 * executing,
            "longRunningCommandResult": 2,
            "lrcQueue": known,
            "lrcExecuting": self.max_executing + 1,
            "lrcFinished": FINISHED_KEPT,
        }


def new_command_id(name: str, now: float) -> str:
    """Make a unique id: the time, 48 random bits and the name, which is all after the last underscore."""
    if not name or "_" in name:
        raise ValueError(f"the name of a long running command has no underscore: {name!r}")
    return f"{now}_{secrets.randbits(48)}_{name}"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


class Outcome(NamedTuple):
    """What has become of a command, or where it stands."""

    status: TaskStatus
    result: Result | None = None
    progress: int | None = None

    def to_json(self) -> str:
        """Make the JSON object that GetCommandResult returns."""
        return json.dumps({**self._asdict(), "status": self.status.name})


@dataclass
class CommandRecord:
    """One command; written only under the lock of the collection that it belongs to."""

    command_id: str
    name: str
    submitted: float
    on_abort: Callable[[], None] | None = None
    commanded: str | None = None
    is_abort: bool = False
    urgent: bool = False
    status: TaskStatus = TaskStatus.STAGING
    started: float | None = None
    ended: float | None = None
    progress: int | None = None
    result: Result | None = None
    abort_requested: bool = False
    _finished_json: str | None = field(default=None, repr=False)

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.status in FINAL

    @property
    def outcome(self) -> Outcome:
        """Where it stands."""
        return Outcome(self.status, self.result, self.progress)

    @property
    def result_value(self) -> list[Any] | None:
        """The result as JSON values."""
        return None if self.result is None else [int(self.result[0]), self.result[1]]

    def to_json(self) -> str:
        """Make the element of lrcQueue, lrcExecuting or lrcFinished, whichever the status calls for."""
        if self._finished_json is not None:
            return self._finished_json
        text = json.dumps(self._document())
        if self.final:
            self._finished_json = text
        return text

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"uid": self.command_id, "name": self.name}
        if self.final:
            document["status"] = self.status.name
        document["submitted_time"] = _stamp(self.submitted)
        if self.started is not None:
            document["started_time"] = _stamp(self.started)
        if self.ended is not None:
            document["finished_time"] = _stamp(self.ended)
            document["result"] = self.result_value
        elif self.progress is not None:
            document["progress"] = self.progress
        return document
