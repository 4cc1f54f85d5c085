"""StopProcedure with an abort as a task: subtasks stop and abort, with one progress and one outcome."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.device.tracked_command import TrackedCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.task import NonEssential

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.application import ScriptExecutionService
    from ska_oso_oet.procedure.changes import ProcedureChange
    from ska_oso_oet.procedure.commands import StopProcessCommand
    from ska_oso_oet.ska.device_hooks import DeviceHooks, LongStringArray
    from ska_oso_oet.ska.long_running_commands import LongRunningCommand

STOP, ABORT = "stop", "abort"
_NAME: Final = "StopProcedure"


class StopTasks:
    """The StopProcedure commands that the abort script is part of, and that have not ended.

    The stop counts: an abort script that fails, or cannot be run, is told in the result and does not make the
    stop a failure.
    """

    def __init__(self, service: ScriptExecutionService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._tasks: dict[str, TrackedCommand] = {}
        self._stopping: dict[int, TrackedCommand] = {}

    def run(self, device: DeviceHooks, request: StopProcessCommand, requester: str | None) -> LongStringArray:
        """Stop a procedure and abort its subarrays, as a long running command of `device`."""

        def work(command: LongRunningCommand) -> None:
            task = TrackedCommand(command, _NAME, (STOP, ABORT), (NonEssential(ABORT),))
            # Known before the request is made: its outcome may come before the request returns.
            with self._lock:
                self._tasks[command.command_id] = task
            try:
                [summary] = self._service.stop(request, command.command_id, requester)
            except BaseException:
                with self._lock:
                    del self._tasks[command.command_id]
                raise
            command.in_progress()
            with self._lock:
                if command.command_id in self._tasks:
                    self._stopping[summary.id] = task

        return device.long_running(_NAME, work, urgent=True)

    def on_change(self, change: ProcedureChange, _: Event) -> None:
        """Follow procedures that are being stopped and their abort scripts (a listener of the bus)."""
        if change.summary.state.final:
            with self._lock:
                stopped = self._stopping.pop(change.summary.id, None)
            if stopped is not None:
                stopped.done(STOP)
        for outcome in change.outcomes:
            with self._lock:
                task = self._tasks.pop(outcome.command_id, None)
            if task is not None:
                _end(task, outcome.content)


def _end(task: TrackedCommand, content: dict[str, Any]) -> None:
    task.content = content
    task.done(STOP)
    abort = content.get("abort")
    if abort is None or abort.get("state") == ProcedureState.COMPLETE:
        task.done(ABORT)
    else:
        task.failed(ABORT, str(abort.get("message", "")))
