"""SubtaskResult has what is known of one subtask, and changes with each update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ska_oso_oet.ska.control_model import HealthState, ResultCode, TaskStatus

# From the worst outcome to the best.
SEVERITY = (TaskStatus.FAILED, TaskStatus.ABORTED, TaskStatus.REJECTED, TaskStatus.COMPLETED)
# From the first stage to the last; NOT_FOUND, which no running command has, comes before them.
STAGES = (TaskStatus.NOT_FOUND, TaskStatus.STAGING, TaskStatus.QUEUED, TaskStatus.IN_PROGRESS)

OUTCOME_OF_RESULT: Mapping[ResultCode, TaskStatus] = {
    ResultCode.FAILED: TaskStatus.FAILED,
    ResultCode.UNKNOWN: TaskStatus.FAILED,
    ResultCode.ABORTED: TaskStatus.ABORTED,
    ResultCode.REJECTED: TaskStatus.REJECTED,
    ResultCode.NOT_ALLOWED: TaskStatus.REJECTED,
}
RESULT_OF_OUTCOME: Mapping[TaskStatus, ResultCode] = {
    TaskStatus.FAILED: ResultCode.FAILED,
    TaskStatus.ABORTED: ResultCode.ABORTED,
    TaskStatus.REJECTED: ResultCode.REJECTED,
    TaskStatus.COMPLETED: ResultCode.OK,
}


class TaskError(Protocol):
    """One element of an error stack; `tango.DevError` is one."""

    @property
    def reason(self) -> str:
        """Short stable code."""

    @property
    def desc(self) -> str:
        """A sentence for the user."""


@dataclass(frozen=True)
class SubtaskUpdate:
    """One notification about a subtask, checked. None and empty mean: not reported."""

    task_name: str
    status: TaskStatus | None = None
    progress: int | None = None
    result: Any = None
    code: ResultCode | None = None
    message: str = ""
    health: HealthState | None = None
    devices: frozenset[str] = frozenset()
    failed_devices: frozenset[str] = frozenset()
    errors: tuple[TaskError, ...] = ()
    operation: str | None = None
    obs_mode: str | None = None

    @classmethod
    def read(cls, task_name: str, fields: Mapping[str, Any]) -> SubtaskUpdate:
        """Check `fields`, the arguments of an update; TypeError or ValueError if they mean nothing."""
        status, result = fields.get("status"), fields.get("result")
        code, message = read_result(result)
        return cls(
            task_name=task_name,
            status=None if status is None else TaskStatus(status),
            progress=_percentage(fields.get("progress")),
            result=result,
            code=code,
            message=message,
            health=_health(fields.get("health_state")),
            devices=_names(fields.get("devices")) or _names(fields.get("device_name")),
            failed_devices=_names(fields.get("failed_devices")),
            errors=_errors(fields.get("error")),
            operation=fields.get("operation"),
            obs_mode=fields.get("obs_mode"),
        )

    @classmethod
    def unreadable(cls, task_name: str, why: Exception) -> SubtaskUpdate:
        """Stand for an update that could not be understood: its subtask can no longer be followed."""
        message = f"its report could not be understood: {why}"
        return cls(task_name, TaskStatus.FAILED, code=ResultCode.FAILED, message=message)


@dataclass(frozen=True)
class SubtaskResult:
    """The latest that is known of one subtask.

    `progress` is in percent. `code` and `message` are read from `result` where it has the form
    `(ResultCode, message)`.
    """

    name: str
    status: TaskStatus = TaskStatus.STAGING
    progress: int = 0
    result: Any = None
    code: ResultCode | None = None
    message: str = ""
    health: HealthState | None = None
    devices: frozenset[str] = frozenset()
    failed_devices: frozenset[str] = frozenset()
    errors: tuple[TaskError, ...] = ()

    @property
    def final(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in SEVERITY

    @property
    def outcome(self) -> TaskStatus:
        """COMPLETED, REJECTED, ABORTED or FAILED: the worse one of the status and the result code."""
        by_code = OUTCOME_OF_RESULT.get(self.code, TaskStatus.COMPLETED) if self.code is not None else None
        outcomes = [outcome for outcome in (self.status, by_code) if outcome in SEVERITY]
        return min(outcomes, key=SEVERITY.index, default=TaskStatus.COMPLETED)

    @property
    def explanation(self) -> str:
        """Its message; if it ended badly without one, the descriptions of its errors."""
        if self.message or self.outcome is TaskStatus.COMPLETED:
            return self.message
        described = "; ".join(str(getattr(error, "desc", error)) for error in self.errors)
        return described or self.outcome.name.lower()

    @property
    def failing_devices(self) -> frozenset[str]:
        """The devices that failed: those named as such, else all that a failed subtask used."""
        if self.failed_devices or self.outcome is not TaskStatus.FAILED:
            return self.failed_devices
        return self.devices

    def updated(self, update: SubtaskUpdate) -> SubtaskResult:
        """Return what is known after `update`. Status and progress never go back: such an update is late."""
        says_result = update.result is not None or update.code is not None
        return replace(
            self,
            status=self.status if update.status is None else later_status(self.status, update.status),
            progress=max(self.progress, update.progress or 0),
            result=update.result if says_result else self.result,
            code=update.code if says_result else self.code,
            message=update.message if says_result else self.message,
            health=self.health if update.health is None else update.health,
            devices=self.devices | update.devices,
            failed_devices=self.failed_devices | update.failed_devices,
            errors=self.errors + update.errors,
        )


def later_status(known: TaskStatus, reported: TaskStatus) -> TaskStatus:
    """Return the one that is further along; the final ones are the furthest."""
    if reported in SEVERITY:
        return reported
    return max(known, reported, key=STAGES.index)


def read_result(result: object) -> tuple[ResultCode | None, str]:
    """Split the SKA convention `(ResultCode, message)`; a result of another form has no code."""
    if isinstance(result, int) and not isinstance(result, bool):
        return _result_code(result), ""
    if (
        isinstance(result, Sequence)
        and not isinstance(result, str | bytes)
        and len(result) == len(("code", "message"))
    ):
        code, message = result
        if isinstance(code, int) and not isinstance(code, bool):
            return _result_code(code), "" if message is None else str(message)
    return None, ""


def _result_code(number: int) -> ResultCode:
    try:
        return ResultCode(number)
    except ValueError:
        return ResultCode.UNKNOWN


def _percentage(value: object) -> int | None:
    """Return 0 to 100; None for what is no number, which is not worth failing a task for."""
    if not isinstance(value, int | float):
        return None
    return int(min(max(value, 0), 100)) if value == value else None  # noqa: PLR0124 - NaN differs from itself


def _health(value: Any) -> HealthState | None:
    if value is None:
        return None
    return HealthState[value] if isinstance(value, str) else HealthState(value)


def _names(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return frozenset({value} if value else ())
    if not isinstance(value, Iterable):
        raise TypeError(f"device names are expected, got {value!r}")
    return frozenset(str(name) for name in value)


def _errors(value: Any) -> tuple[TaskError, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, Iterable) else (value,)
