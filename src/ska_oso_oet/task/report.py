"""The report of a task is made from its subtasks, in an order that does not depend on theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Collection

    from ska_oso_oet.task.policy import TaskOutcome
    from ska_oso_oet.task.subtask import SubtaskResult, TaskError


def mean_progress(subtasks: Collection[SubtaskResult], expected: int) -> int:
    """Return the mean in percent, rounded down; a subtask that has ended counts 100, an unseen one 0."""
    number = max(expected, len(subtasks))
    return sum(100 if part.final else part.progress for part in subtasks) // number if number > 0 else 100


def collect_errors(subtasks: Collection[SubtaskResult]) -> tuple[TaskError, ...]:
    """Return the errors of all subtasks, by name of the subtask."""
    return tuple(error for part in sorted(subtasks, key=lambda part: part.name) for error in part.errors)


def completion_report(
    task_name: str, outcome: TaskOutcome, subtasks: Collection[SubtaskResult]
) -> dict[str, Any]:
    """Return the payload of the completion callback; optional keys are there only if something is known."""
    bad = {HealthState.DEGRADED, HealthState.FAILED}
    optional = {
        "devices": sorted({name for part in subtasks for name in part.devices}),
        "failed_devices": sorted({name for part in subtasks for name in part.failing_devices}),
        "health_state": outcome.health.name if outcome.health in bad else None,
        "error": collect_errors(subtasks),
    }
    return {
        "task_name": task_name,
        "status": outcome.status,
        "result": (outcome.result, outcome.message),
        **{key: value for key, value in optional.items() if value},
    }
