"""TaskTracker follows the subtasks of one task and reports its outcome once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from ska_oso_oet.ska.control_model import HealthState, ResultCode, TaskStatus
from ska_oso_oet.task.outbox import Outbox
from ska_oso_oet.task.policy import NonEssential, TaskAggregationPolicy, TaskOutcome
from ska_oso_oet.task.report import collect_errors, completion_report, mean_progress
from ska_oso_oet.task.subtask import SEVERITY, SubtaskResult, SubtaskUpdate
from ska_oso_oet.task.waiting import ChainedEvent, wait_for_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ska_oso_oet.task.subtask import TaskError

PROGRESS_STEP = 5
"""Progress is reported in steps of so many percent."""


class TaskTracker:
    """Ingests updates of subtasks, from any thread, and computes the outcome of the task they make up.

    `completed_callback(**payload)` is called once, when the last subtask has ended, with `task_name`,
    `status`, `result` (a pair of ResultCode and message) and, where known, `devices`,
    `failed_devices` (sorted lists), `health_state` ("DEGRADED" or "FAILED") and `error` (tuple).
    With `report_progress` it is also called, before that, each time the progress reaches another
    step of PROGRESS_STEP percent, with `task_name`, `status` and `progress`. The payload is what
    `update_task` of another tracker accepts, so tasks can be nested. Calls come one at a time, in
    order, and never with a lock held. A task without subtasks completes in the constructor.

    `operation` and `obs_mode` are the context in which `non_essential` rules are read.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the published signature of the original
        self,
        task_name: str,
        total_subtasks: int,
        completed_callback: Callable[..., Any] | None = None,
        logger: logging.Logger | None = None,
        operation: str | None = None,
        obs_mode: str | None = None,
        is_root: bool | None = False,  # noqa: FBT001, FBT002 - the published signature of the original
        *,
        non_essential: tuple[NonEssential, ...] = (),
        report_progress: bool = False,
    ) -> None:
        self.task_name = task_name
        self.total_subtasks = total_subtasks
        self._callback = completed_callback
        self._logger = logger or logging.getLogger(__name__)
        self._policy = TaskAggregationPolicy(task_name, operation, obs_mode, bool(is_root), non_essential)
        self._report_progress = report_progress
        self._lock = threading.Lock()
        self._subtasks: dict[str, SubtaskResult] = {}
        self._reported: TaskOutcome | None = None
        self._outbox = Outbox(self._call_back)
        self._notified = -1
        self._completed = ChainedEvent()
        if total_subtasks <= 0:
            with self._lock:
                self._note_change()
            self._outbox.deliver()

    @property
    def subtasks(self) -> dict[str, SubtaskResult]:
        """The latest of each subtask, by name."""
        with self._lock:
            return dict(self._subtasks)

    @property
    def completed_subtasks(self) -> int:
        """How many subtasks have ended."""
        return sum(subtask.final for subtask in self.subtasks.values())

    @property
    def progress(self) -> int:
        """The mean progress of the subtasks in percent; one that has ended counts 100, an unseen one 0."""
        with self._lock:
            return mean_progress(self._subtasks.values(), self.total_subtasks)

    @property
    def errors(self) -> tuple[TaskError, ...]:
        """The errors of all subtasks, by name of the subtask."""
        with self._lock:
            return collect_errors(self._subtasks.values())

    @property
    def overall_status(self) -> TaskStatus:
        """The status of the task."""
        return self._outcome().status

    @property
    def overall_result(self) -> ResultCode:
        """The result code of the task; STARTED, QUEUED or UNKNOWN while it is not finished."""
        return self._outcome().result

    @property
    def overall_resultcode(self) -> tuple[ResultCode, str]:
        """The result code of the task and its message."""
        outcome = self._outcome()
        return outcome.result, outcome.message

    @property
    def overall_health(self) -> HealthState | None:
        """The health of what the task used, as far as its subtasks report it; None while they do not."""
        return self._outcome().health

    def get_status(self) -> TaskStatus:
        """Return the status of the task."""
        return self.overall_status

    def get_result(self) -> ResultCode:
        """Return the result code of the task."""
        return self.overall_result

    def set_context(self, operation: str | None = None, obs_mode: str | None = None) -> None:
        """Set the context when it becomes known; None changes nothing."""
        with self._lock:
            self._policy = self._policy.in_context(operation, obs_mode)

    def update_task(
        self,
        *,
        task_name: str,
        status: TaskStatus | None = None,
        progress: int | None = None,
        result: Any | None = None,
        error: tuple[TaskError, ...] | None = None,
        **kwargs: Any,
    ) -> None:
        """Ingest what the subtask `task_name` reports; never raises.

        Further keys: `devices` or `device_name`, `failed_devices`, `health_state`, `operation`,
        `obs_mode` and `source` (for the log); others are ignored. An update of a subtask that has
        ended is stale and ignored. One that cannot be understood fails its subtask.
        """
        fields = {**kwargs, "status": status, "progress": progress, "result": result, "error": error}
        try:
            self._ingest(self._read(str(task_name), fields), kwargs.get("source"))
        except Exception as unexpected:
            self._logger.exception("%s: an update of %s could not be used", self.task_name, task_name)
            self._end_in_fault(f"{task_name}: internal error: {unexpected}")
        self._outbox.deliver()

    def wait_for_task_completion(self, timeout_event: threading.Event | None = None) -> bool:
        """Block until the task has completed (True) or `timeout_event` is set (False); see `task.waiting`."""
        return wait_for_first(self._completed, timeout_event)

    def signal_task_completion(self) -> None:
        """Release those who wait for completion, whether or not the task has ended."""
        self._completed.set()

    def _read(self, task_name: str, fields: Mapping[str, Any]) -> SubtaskUpdate:
        try:
            return SubtaskUpdate.read(task_name, fields)
        except Exception as error:
            self._logger.exception("%s: an update of %s cannot be understood", self.task_name, task_name)
            return SubtaskUpdate.unreadable(task_name, error)

    def _ingest(self, update: SubtaskUpdate, source: object) -> None:
        with self._lock:
            known = self._subtasks.get(update.task_name, SubtaskResult(update.task_name))
            stale = self._reported is not None or known.final
            if not stale:
                self._policy = self._policy.in_context(update.operation, update.obs_mode)
                self._subtasks[update.task_name] = known.updated(update)
                self._note_change()
        if stale:
            self._logger.debug("%s: late update of %s from %s", self.task_name, update.task_name, source)

    def _note_change(self) -> None:
        """Put into the outbox what the present state calls for (lock held)."""
        if self._finished():
            self._end(self._policy.aggregate(self._subtasks.values(), finished=True))
            return
        step = mean_progress(self._subtasks.values(), self.total_subtasks) // PROGRESS_STEP * PROGRESS_STEP
        if self._report_progress and step > self._notified:
            self._notified = step
            status = self._policy.aggregate(self._subtasks.values(), finished=False).status
            self._outbox.put({"task_name": self.task_name, "status": status, "progress": step})

    def _end_in_fault(self, message: str) -> None:
        fault = TaskOutcome(TaskStatus.FAILED, ResultCode.FAILED, message, HealthState.FAILED)
        with self._lock:
            if self._reported is None:
                self._end(fault)
            self._reported = fault

    def _end(self, outcome: TaskOutcome) -> None:
        """Put the one report of the end into the outbox (lock held)."""
        self._reported = outcome
        self._outbox.put(completion_report(self.task_name, outcome, self._subtasks.values()))

    def _call_back(self, payload: dict[str, Any]) -> None:
        final = payload["status"] in SEVERITY
        try:
            if self._callback is not None:
                self._callback(**payload)
        except Exception as error:
            self._logger.exception("%s: the receiver of its reports failed", self.task_name)
            if final:
                self._end_in_fault(f"the outcome could not be reported: {error}")
        finally:
            if final:
                self._completed.set()

    def _outcome(self) -> TaskOutcome:
        with self._lock:
            return self._reported or self._policy.aggregate(
                self._subtasks.values(), finished=self._finished()
            )

    def _finished(self) -> bool:
        """Whether every expected subtask is known and every known one has ended (lock held)."""
        known = self._subtasks.values()
        return len(known) >= self.total_subtasks and all(subtask.final for subtask in known)
