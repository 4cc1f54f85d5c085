"""A long running command that is a task of several subtasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.ska.control_model import ResultCode, TaskStatus
from ska_oso_oet.task import TaskTracker

if TYPE_CHECKING:
    from ska_oso_oet.ska.long_running_commands import LongRunningCommand
    from ska_oso_oet.task import NonEssential

_OK: Final = (ResultCode.OK, "")


class TrackedCommand:
    """Ends a command when its last subtask ends, with the outcome that the subtasks have together.

    Its progress is the mean of theirs. `content` becomes the text of the result, as JSON.
    """

    def __init__(
        self,
        command: LongRunningCommand,
        name: str,
        subtasks: tuple[str, ...],
        non_essential: tuple[NonEssential, ...] = (),
    ) -> None:
        self.content: dict[str, Any] = {}
        self.subtasks = subtasks
        self._command = command
        self._tracker = TaskTracker(
            name,
            len(subtasks),
            completed_callback=self._tell,
            non_essential=non_essential,
            report_progress=True,
        )

    def _tell(self, *, progress: int | None = None, result: Any = None, **_others: Any) -> None:
        """Pass on what the tracker tells: progress, and at the end a result."""
        if result is not None:
            ended = TaskStatus.ABORTED if result[0] is ResultCode.ABORTED else TaskStatus.COMPLETED
            self._command.finish(ended, (result[0], json.dumps(self.content)))
        elif progress is not None:
            self._command.progress(progress)

    def progress(self, subtask: str, percent: float) -> None:
        """Note how far a subtask is."""
        self._tracker.update_task(task_name=subtask, status=TaskStatus.IN_PROGRESS, progress=int(percent))

    def done(self, subtask: str) -> None:
        """Note that a subtask has ended well; one that is no part of this task is ignored."""
        if subtask in self.subtasks:
            self._tracker.update_task(task_name=subtask, status=TaskStatus.COMPLETED, result=_OK)

    def failed(self, subtask: str, message: str) -> None:
        """Note that a subtask has failed."""
        result = (ResultCode.FAILED, message)
        self._tracker.update_task(task_name=subtask, status=TaskStatus.COMPLETED, result=result)

    def aborted(self, subtask: str) -> None:
        """Note that a subtask was stopped."""
        result = (ResultCode.ABORTED, "stopped")
        self._tracker.update_task(task_name=subtask, status=TaskStatus.ABORTED, result=result)
