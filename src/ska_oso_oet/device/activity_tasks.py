"""RunActivity as a task: subtasks create, init and main, with one progress and one outcome."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ska_oso_oet.activity.domain import ActivityState
from ska_oso_oet.device.tracked_command import TrackedCommand
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from ska_oso_oet.activity.application import ActivityService
    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.changes import ProcedureChange
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.ska.device_hooks import DeviceHooks, LongStringArray
    from ska_oso_oet.ska.long_running_commands import LongRunningCommand

CREATE, INIT, MAIN = "create", "init", "main"


class ActivityTasks:
    """The RunActivity commands that have not ended."""

    def __init__(self, service: ActivityService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._tasks: dict[str, TrackedCommand] = {}

    def run(self, device: DeviceHooks, request: ActivityCommand, requester: str | None) -> LongStringArray:
        """Begin to run an activity, as a long running command of `device`."""
        begun: list[int] = []

        def abort() -> None:
            for activity_id in begun:
                self._service.stop_activity(activity_id, "aborted")

        def work(command: LongRunningCommand) -> None:
            self._begin(command, request)
            begun.append(self._request(command, request, requester))
            command.in_progress()
            if command.abort_requested:
                abort()

        return device.long_running("RunActivity", work, on_abort=abort)

    def _begin(self, command: LongRunningCommand, request: ActivityCommand) -> None:
        # Known before the request is made: its outcome may come before the request returns.
        subtasks = (CREATE, INIT) if request.prepare_only else (CREATE, INIT, MAIN)
        with self._lock:
            self._tasks[command.command_id] = TrackedCommand(command, "RunActivity", subtasks)

    def _request(self, command: LongRunningCommand, request: ActivityCommand, requester: str | None) -> int:
        try:
            return self._service.prepare_run_activity(request, command.command_id, requester).id
        except BaseException:
            with self._lock:
                del self._tasks[command.command_id]
            raise

    def on_change(self, change: ProcedureChange, _: Event) -> None:
        """Follow the procedures of activities (a listener of the bus)."""
        task = self._find(change.summary.command_id)
        if task is not None:
            _follow(task, change.summary)

    def on_activity(self, summary: ActivitySummary) -> None:
        """End the command of an activity that has done what it asked for."""
        if summary.request_done and summary.command_id is not None:
            with self._lock:
                task = self._tasks.pop(summary.command_id, None)
            if task is not None:
                _end(task, summary)

    def _find(self, command_id: str | None) -> TrackedCommand | None:
        with self._lock:
            return None if command_id is None else self._tasks.get(command_id)


def _follow(task: TrackedCommand, procedure: ProcedureSummary) -> None:
    """Turn the state and progress of an activity's procedure into those of its subtasks."""
    states = [state for state, _ in procedure.history.process_states]
    if ProcedureState.LOADING in states and states[-1] is not ProcedureState.LOADING:
        task.done(CREATE)
    if ProcedureState.READY in states and task.subtasks[-1] != INIT:
        # The last subtask ends with the activity, whose summary is the result.
        task.done(INIT)
    if procedure.state is ProcedureState.RUNNING and procedure.progress is not None:
        task.progress(MAIN, procedure.progress.percent)


def _end(task: TrackedCommand, summary: ActivitySummary) -> None:
    """Note that an activity has done what was asked, or will not: end the subtasks that have not ended."""
    task.content = _content(summary)
    for subtask in task.subtasks:
        if summary.state is ActivityState.FAILED:
            task.failed(subtask, summary.message or "")
        elif summary.state is ActivityState.STOPPED:
            task.aborted(subtask)
        else:
            task.done(subtask)


def _content(summary: ActivitySummary) -> dict[str, Any]:
    content: dict[str, Any] = {
        "activity_id": summary.id,
        "procedure_id": summary.procedure_id,
        "state": summary.state.value,
    }
    return content if summary.message is None else {**content, "message": summary.message}
