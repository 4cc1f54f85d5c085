"""CommandBook runs each long running command, follows what its request leads to, and ends it.

Nothing here knows Tango: a device passes its long running commands on through DeviceHooks.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.activity.domain import ActivityState, ActivitySummary
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus
from ska_oso_oet.task import TaskTracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.changes import OutcomeKind
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.ska.device_hooks import DeviceHooks, LongStringArray
    from ska_oso_oet.ska.long_running_commands import RunningCommand

_CODE: Final[dict[OutcomeKind, ResultCode]] = {
    "ok": ResultCode.OK,
    "failed": ResultCode.FAILED,
    "aborted": ResultCode.ABORTED,
}
_CODE_OF_STATE: Final = {
    ActivityState.FAILED: ResultCode.FAILED,
    ActivityState.STOPPED: ResultCode.ABORTED,
}
CREATE, INIT, MAIN = "create", "init", "main"


class Entry:
    """A live command, which ends with the outcome that a change of a procedure has for it."""

    def __init__(self, command: RunningCommand) -> None:
        self.command = command

    def follow(self, subject: ProcedureChange | ActivitySummary) -> None:
        """Report progress, or end the command, where a change concerns it."""
        if not isinstance(subject, ProcedureChange):
            return
        command_id = self.command.command_id
        if command_id in subject.progress:
            self.command.progress(subject.progress[command_id])
        for outcome in subject.outcomes:
            if outcome.command_id == command_id:
                self.end(_CODE[outcome.result], json.dumps(outcome.content))

    def end(self, code: ResultCode, text: str) -> None:
        """End the command; `text` is what its result carries beside the code."""
        status = TaskStatus.ABORTED if code is ResultCode.ABORTED else TaskStatus.COMPLETED
        self.command.finish(status, (code, text))


@dataclass(frozen=True)
class _Reason:
    """Why an activity did not complete, as an element of an error stack."""

    reason: str
    desc: str


class ActivityEntry(Entry):
    """A live RunActivity: a task of the subtasks create, init and main, which its procedure goes through.

    Its progress is the mean of theirs, and it ends when its activity has done what was asked for.
    """

    def __init__(self, command: RunningCommand, *, prepare_only: bool) -> None:
        super().__init__(command)
        self._subtasks = (CREATE, INIT) if prepare_only else (CREATE, INIT, MAIN)
        self._content: dict[str, Any] = {}
        self._tracker = TaskTracker(
            "RunActivity", len(self._subtasks), completed_callback=self._report, report_progress=True
        )

    def follow(self, subject: ProcedureChange | ActivitySummary) -> None:
        """Report progress, or end the command, where a change concerns it."""
        if isinstance(subject, ProcedureChange):
            if subject.summary.command_id == self.command.command_id:
                self._follow_procedure(subject.summary)
        elif subject.command_id == self.command.command_id and subject.request_done:
            self._end_subtasks(subject)

    def _follow_procedure(self, procedure: ProcedureSummary) -> None:
        states = [state for state, _ in procedure.history.process_states]
        if ProcedureState.LOADING in states and states[-1] is not ProcedureState.LOADING:
            self._update(CREATE, ResultCode.OK)
        if ProcedureState.READY in states and self._subtasks[-1] != INIT:
            # The last subtask ends with the activity, whose summary is the result.
            self._update(INIT, ResultCode.OK)
        running = procedure.state is ProcedureState.RUNNING and MAIN in self._subtasks
        if running and procedure.progress is not None:
            percent, about = int(procedure.progress.percent), procedure.progress.about_devices()
            self._tracker.update_task(
                task_name=MAIN, status=TaskStatus.IN_PROGRESS, progress=percent, **about
            )

    def _end_subtasks(self, activity: ActivitySummary) -> None:
        """End the subtasks that have not ended: the activity has done what was asked for, or will not."""
        self._content = _content(activity)
        code = _CODE_OF_STATE.get(activity.state, ResultCode.OK)
        why = activity.message or ""
        if code is ResultCode.FAILED:
            # Only one subtask has it: the last, which never ends before the activity does.
            self._tracker.update_task(
                task_name=self._subtasks[-1], error=(_Reason(activity.state.value, why),)
            )
        for subtask in self._subtasks:
            self._update(subtask, code, why)

    def _update(self, subtask: str, code: ResultCode, message: str = "") -> None:
        self._tracker.update_task(task_name=subtask, status=TaskStatus.COMPLETED, result=(code, message))

    def _report(
        self, *, progress: int = 0, result: tuple[ResultCode, str] | None = None, **about: Any
    ) -> None:
        """Pass on what the tracker reports: progress, and at the end what is known of devices and errors."""
        if result is None:
            self.command.progress(progress)
            return
        known: dict[str, Any] = {
            key: about[key] for key in ("devices", "failed_devices", "health_state") if key in about
        }
        if "error" in about:
            known["error"] = [{"reason": each.reason, "desc": each.desc} for each in about["error"]]
        self.end(result[0], json.dumps(self._content | known))


def _content(activity: ActivitySummary) -> dict[str, Any]:
    content: dict[str, Any] = {
        "activity_id": activity.id,
        "procedure_id": activity.procedure_id,
        "state": activity.state.value,
    }
    return content if activity.message is None else {**content, "message": activity.message}


class CommandBook:
    """The long running commands of a controller that have not ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}

    def run(
        self,
        device: DeviceHooks,
        name: str,
        request: Callable[[str], object],
        *,
        entry: Callable[[RunningCommand], Entry] = Entry,
        on_abort: Callable[[str], None] | None = None,
        urgent: bool = False,
    ) -> LongStringArray:
        """Begin a long running command, make its request, and return what the Tango command returns.

        `request(command_id)` raises Rejected or NotFound when it cannot be done; `entry` names what the
        command follows from then on. `on_abort(command_id)` stops what was requested, if that goes on. An
        `urgent` command stops something itself: it is accepted even when the device is full or aborting.
        """
        made: list[str] = []

        def abort() -> None:
            if on_abort is not None:
                for command_id in made:
                    on_abort(command_id)

        def work(command: RunningCommand) -> None:
            # Written down before the request is made: its outcome may come before the request returns.
            with self._lock:
                self._entries[command.command_id] = entry(command)
            try:
                request(command.command_id)
            except BaseException:
                self._strike(command.command_id)
                raise
            command.in_progress()
            made.append(command.command_id)
            if command.abort_requested:
                abort()

        return device.long_running(name, work, on_abort=abort, urgent=urgent)

    def end(self, command_id: str, code: ResultCode, text: str) -> None:
        """End a command whose end is no change of a procedure or an activity."""
        entry = self._strike(command_id)
        if entry is not None:
            entry.end(code, text)

    def on_change(self, change: ProcedureChange, _: Event) -> None:
        """Let commands follow their procedures (a listener of the bus)."""
        self._follow(change)

    def on_activity(self, summary: ActivitySummary) -> None:
        """Let commands follow their activities."""
        self._follow(summary)

    def _follow(self, subject: ProcedureChange | ActivitySummary) -> None:
        with self._lock:
            entries = list(self._entries.values())
        for entry in entries:
            entry.follow(subject)
            if entry.command.ended:
                self._strike(entry.command.command_id)

    def _strike(self, command_id: str) -> Entry | None:
        with self._lock:
            return self._entries.pop(command_id, None)
