"""TaskAggregationPolicy makes one outcome of many; docs/reference/task-aggregation.md has its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ska_oso_oet.ska.control_model import HealthState, ResultCode, TaskStatus
from ska_oso_oet.task.subtask import RESULT_OF_OUTCOME, SEVERITY, SubtaskResult, later_status

if TYPE_CHECKING:
    from collections.abc import Collection

_RESULT_UNFINISHED = {
    TaskStatus.IN_PROGRESS: ResultCode.STARTED,
    TaskStatus.QUEUED: ResultCode.QUEUED,
}


@dataclass(frozen=True)
class NonEssential:
    """Names a subtask whose failure does not fail the task, in every context or only in this one."""

    subtask: str
    operation: str | None = None
    obs_mode: str | None = None

    def applies(self, subtask: str, operation: str | None, obs_mode: str | None) -> bool:
        """Whether `subtask` is meant, in this context."""
        return (
            subtask == self.subtask
            and self.operation in {None, operation}
            and self.obs_mode in {None, obs_mode}
        )


@dataclass(frozen=True)
class TaskOutcome:
    """The outcome of a task as a whole; `health` is None where it is not known from the subtasks."""

    status: TaskStatus
    result: ResultCode
    message: str
    health: HealthState | None = None


@dataclass(frozen=True)
class TaskAggregationPolicy:
    """Computes the outcome of the task `task_name` from its subtasks, in a context."""

    task_name: str
    operation: str | None = None
    obs_mode: str | None = None
    is_root: bool = False
    non_essential: tuple[NonEssential, ...] = ()

    def in_context(self, operation: str | None, obs_mode: str | None) -> TaskAggregationPolicy:
        """Return the policy for a context of which more is known; None changes nothing."""
        return replace(self, operation=operation or self.operation, obs_mode=obs_mode or self.obs_mode)

    def essential(self, subtask: SubtaskResult) -> bool:
        """Whether the task cannot succeed without this subtask."""
        return not any(
            rule.applies(subtask.name, self.operation, self.obs_mode) for rule in self.non_essential
        )

    def aggregate(self, subtasks: Collection[SubtaskResult], *, finished: bool) -> TaskOutcome:
        """Fold the subtasks, in whatever order they come, into one outcome."""
        if not finished:
            status = unfinished_status(subtasks)
            result = _RESULT_UNFINISHED.get(status, ResultCode.UNKNOWN)
            return TaskOutcome(status, result, self._message(status.name.lower().replace("_", " "), []))
        worst = min(
            filter(self.essential, subtasks),
            key=lambda subtask: (SEVERITY.index(subtask.outcome), SEVERITY.index(subtask.status)),
            default=SubtaskResult(self.task_name, TaskStatus.COMPLETED),
        )
        problems = sorted(
            (subtask for subtask in subtasks if subtask.outcome is not TaskStatus.COMPLETED),
            key=lambda subtask: (not self.essential(subtask), SEVERITY.index(subtask.outcome), subtask.name),
        )
        return TaskOutcome(
            worst.status,
            RESULT_OF_OUTCOME[worst.outcome],
            self._message(worst.outcome.name.lower(), problems or sorted(subtasks, key=lambda s: s.name)),
            self._health(worst.outcome, subtasks),
        )

    def _health(self, outcome: TaskStatus, subtasks: Collection[SubtaskResult]) -> HealthState | None:
        if outcome is TaskStatus.FAILED:
            return HealthState.FAILED
        if outcome is not TaskStatus.COMPLETED:
            return None
        flawed = any(
            subtask.outcome is not TaskStatus.COMPLETED
            or subtask.health in {HealthState.DEGRADED, HealthState.FAILED}
            for subtask in subtasks
        )
        return HealthState.DEGRADED if flawed else HealthState.OK

    def _message(self, verdict: str, parts: Collection[SubtaskResult]) -> str:
        """Return `verdict`, and `name: message` of each part that has a message."""
        details = "; ".join(f"{part.name}: {part.explanation}" for part in parts if part.explanation)
        if not self.is_root:
            return details or verdict
        context = ", ".join(word for word in (self.operation, self.obs_mode) if word)
        header = f"{self.task_name} ({context}) {verdict}" if context else f"{self.task_name} {verdict}"
        return f"{header}: {details}" if details else header


def unfinished_status(subtasks: Collection[SubtaskResult]) -> TaskStatus:
    """Return the stage of a task of which a part is still to come: that of its furthest part."""
    status = TaskStatus.STAGING
    for subtask in subtasks:
        status = later_status(status, TaskStatus.IN_PROGRESS if subtask.final else subtask.status)
    return status
