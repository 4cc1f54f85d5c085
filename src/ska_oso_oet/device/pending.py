"""Long running commands of the controller, from the request to the end of what it asked for."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final

from ska_oso_oet.ska.control_model import ResultCode, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.changes import CommandOutcome, ProcedureChange, Result
    from ska_oso_oet.ska.device_hooks import DeviceHooks, LongStringArray
    from ska_oso_oet.ska.long_running_commands import LongRunningCommand

_END: Final[dict[Result, tuple[TaskStatus, ResultCode]]] = {
    "ok": (TaskStatus.COMPLETED, ResultCode.OK),
    "failed": (TaskStatus.COMPLETED, ResultCode.FAILED),
    "aborted": (TaskStatus.ABORTED, ResultCode.ABORTED),
}


class PendingCommands:
    """The long running commands whose end is a change of a procedure that is still to come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commands: dict[str, LongRunningCommand] = {}

    def carry_out(
        self,
        device: DeviceHooks,
        name: str,
        request: Callable[[str], object],
        on_abort: Callable[[str], None] | None = None,
    ) -> LongStringArray:
        """Begin a long running command, make its request, and answer for the Tango command.

        `request(command_id)` raises Rejected or NotFound when it cannot be done; the command ends when the
        outcome of the request is told. `on_abort(command_id)` stops what was requested; without it the
        request stops something itself, and is taken even when the device is full or aborting.
        """
        begun: list[LongRunningCommand] = []

        def abort() -> None:
            if on_abort is not None and begun:
                on_abort(begun[0].command_id)

        def work(command: LongRunningCommand) -> None:
            self._request(command, request)
            begun.append(command)
            if command.abort_requested:
                abort()

        return device.long_running(name, work, on_abort=abort, urgent=on_abort is None)

    def _request(self, command: LongRunningCommand, request: Callable[[str], object]) -> None:
        # Known before the request is made: its outcome may come before the request returns.
        with self._lock:
            self._commands[command.command_id] = command
        try:
            request(command.command_id)
        except BaseException:
            with self._lock:
                del self._commands[command.command_id]
            raise
        command.in_progress()

    def on_change(self, change: ProcedureChange, _: Event) -> None:
        """End the commands that a change ends, and pass progress on (a listener of the bus)."""
        progress = change.summary.progress
        if progress is not None and change.progress_of is not None:
            with self._lock:
                command = self._commands.get(change.progress_of)
            if command is not None:
                command.progress(int(progress.percent))
        for outcome in change.outcomes:
            self._end(outcome)

    def _end(self, outcome: CommandOutcome) -> None:
        with self._lock:
            command = self._commands.pop(outcome.command_id, None)
        if command is not None:
            status, code = _END[outcome.result]
            command.finish(status, (code, json.dumps(outcome.content)))
