"""A task that several subtasks make up has one outcome, which this package computes."""

from ska_oso_oet.task.policy import NonEssential, TaskAggregationPolicy, TaskOutcome
from ska_oso_oet.task.subtask import SubtaskResult, TaskError
from ska_oso_oet.task.tracker import PROGRESS_STEP, TaskTracker
from ska_oso_oet.task.waiting import ChainedEvent

__all__ = [
    "PROGRESS_STEP",
    "ChainedEvent",
    "NonEssential",
    "SubtaskResult",
    "TaskAggregationPolicy",
    "TaskError",
    "TaskOutcome",
    "TaskTracker",
]
