"""SKA clients follow long running commands by protocol versions 1 and 2 of ska-tango-base.

A command is admitted, started, perhaps reports progress, and ends once; each step is reported in the
attributes of both protocols, in the order in which ska-tango-base does it. What is reported is decided
and handed to `emit` under one lock, so all clients see one order; what belongs to others (the abort
callbacks) is called under none.

No command is QUEUED here, and `lrcQueue` is always empty: a device that has no room refuses, and what it
admits is started at once.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ska_oso_oet.errors import Rejected
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus
from ska_oso_oet.ska.lrc_ledger import REMOVAL_TIME, Ledger
from ska_oso_oet.ska.lrc_record import FINAL, CommandLimits, CommandRecord, Outcome, Result, new_command_id
from ska_oso_oet.ska.lrc_reporter import CommandReporter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LongRunningCommands", "RunningCommand"]

_log = logging.getLogger(__name__)

PROTOCOL_VERSIONS: Final = (1, 2)


class RunningCommand:
    """One admitted command, in the hands of whoever carries it out; any thread may use it."""

    def __init__(self, commands: LongRunningCommands, record: CommandRecord) -> None:
        self._commands = commands
        self._record = record

    @property
    def command_id(self) -> str:
        """The id by which clients know it."""
        return self._record.command_id

    @property
    def status(self) -> TaskStatus:
        """Where it stands."""
        return self._record.status

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to it."""
        return self._record.final

    @property
    def abort_requested(self) -> bool:
        """Whether Abort has asked it to end: for work that was not yet set up when `on_abort` was called."""
        return self._record.abort_requested

    def in_progress(self) -> None:
        """Report that it has started."""
        self._commands.start(self._record)

    def progress(self, percent: int) -> None:
        """Report how far it is, 0 to 100; ignored unless it is in progress."""
        self._commands.report_progress(self._record, percent)

    def finish(self, status: TaskStatus, result: Result) -> bool:
        """End it as `status` with `result`; False, and nothing happens, if it has ended before."""
        return self._commands.end(self._record, status, result)


@dataclass
class _Abort:
    """An Abort that waits for the commands it has asked to end; `record` is None for AbortCommands."""

    record: CommandRecord | None
    waits_for: set[str]


class LongRunningCommands:
    """All long running commands of one device.

    `emit(attribute, value)` is called under the lock of this object: it must only store the value, as
    `EventPump.put` does. Values are lists of strings nobody changes (a string for commandedState).
    `later(delay, fn)` arranges a call of `fn`; with it, the lists of protocol 1 are emitted again when
    finished commands leave them, `REMOVAL_TIME` after their end. `clock` is in seconds since 1970.
    """

    def __init__(
        self,
        emit: Callable[[str, object], None],
        *,
        clock: Callable[[], float] = time.time,
        limits: CommandLimits | None = None,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        self.limits = limits or CommandLimits()
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._ledger = Ledger(self.limits, clock)
        self._reporter = CommandReporter(self._ledger, emit)
        self._aborts: list[_Abort] = []
        self._refused: str | None = None
        self._refresh_due = False

    # ------------------------------------------------------------ for the device

    def begin(
        self,
        name: str,
        *,
        on_abort: Callable[[], None] | None = None,
        commanded: str | None = None,
        urgent: bool = False,
    ) -> RunningCommand:
        """Admit a command, or raise Rejected before it has an id: too many at a time, or an abort goes on.

        `on_abort` asks the work to stop and returns at once; it runs on the thread of whoever aborts.
        `commanded` becomes commandedState when the command starts. An `urgent` command is one that stops
        something: it needs no place, and is admitted during an abort. Whoever begins a command ends it.
        """
        with self._lock:
            self._require_admission(urgent=urgent)
            record = self._admit(name, on_abort=on_abort, commanded=commanded)
            record.urgent = urgent
            return RunningCommand(self, record)

    def abort(self) -> str:
        """Ask everything to stop: the command Abort, whose id this is; it ends when all others have ended."""
        with self._lock:
            if self._refused is not None:
                raise Rejected(self._refused)
            record = self._admit("Abort", is_abort=True)
            self._start(record)
        self._abort_all(record)
        return record.command_id

    def abort_all(self) -> None:
        """Ask everything to stop: the command AbortCommands, which is not tracked."""
        self._abort_all(None)

    def outcome(self, command_id: str) -> Outcome:
        """Return what has become of a command; its status is NOT_FOUND if it is not known (any more)."""
        with self._lock:
            return self._ledger.outcome(command_id)

    def read(self, attribute: str) -> list[str]:
        """Return the value of one of the list attributes, now."""
        with self._lock:
            return self._ledger.value(attribute)

    @property
    def commanded_state(self) -> str:
        """The state that On, Off, Standby or Reset last asked for, "None" before."""
        return self._ledger.commanded_state

    def refuse(self, reason: str) -> None:
        """Admit nothing from now on; what is live goes on."""
        with self._lock:
            self._refused = reason

    def close(self, reason: str) -> None:
        """End what is still live as ABORTED, so that no client waits for what can no longer happen."""
        with self._lock:
            self._refused = reason
            for record in list(self._ledger.live.values()):
                self._end(record, TaskStatus.ABORTED, (ResultCode.ABORTED, reason))

    # ------------------------------------------------------------ for RunningCommand

    def start(self, record: CommandRecord) -> None:
        """Start a command, unless it has started or ended before."""
        with self._lock:
            if record.status is TaskStatus.STAGING:
                self._start(record)

    def report_progress(self, record: CommandRecord, percent: int) -> None:
        """Note and emit the progress of a command in progress."""
        with self._lock:
            if record.status is TaskStatus.IN_PROGRESS and record.progress != percent:
                record.progress = int(percent)
                self._reporter.updated(record, {"progress": record.progress})

    def end(self, record: CommandRecord, status: TaskStatus, result: Result) -> bool:
        """End a command; False if it has ended before."""
        if status not in FINAL:
            raise ValueError(f"a command cannot end as {status.name}")
        with self._lock:
            return self._end(record, status, result)

    # ------------------------------------------------------------ under the lock

    def _require_admission(self, *, urgent: bool) -> None:
        if self._refused is not None:
            raise Rejected(self._refused)
        if urgent:
            return
        if self._aborts:
            raise Rejected("Queue is being aborted")
        limit = self.limits.max_executing
        if sum(not record.urgent and not record.is_abort for record in self._ledger.live.values()) >= limit:
            raise Rejected(f"Input queue supports a maximum of {limit} commands")

    def _admit(
        self,
        name: str,
        *,
        on_abort: Callable[[], None] | None = None,
        commanded: str | None = None,
        is_abort: bool = False,
    ) -> CommandRecord:
        now = self._clock()
        record = CommandRecord(new_command_id(name, now), name, now, on_abort, commanded, is_abort)
        self._ledger.live[record.command_id] = record
        self._reporter.admitted(record)
        return record

    def _start(self, record: CommandRecord) -> None:
        record.status, record.started = TaskStatus.IN_PROGRESS, self._clock()
        self._ledger.commanded_state = record.commanded or self._ledger.commanded_state
        self._reporter.updated(record, {"status": int(record.status)})

    def _end(self, record: CommandRecord, status: TaskStatus, result: Result) -> bool:
        if record.final:
            return False
        if record.started is None and status is not TaskStatus.REJECTED:
            self._start(record)
        record.status, record.result, record.ended = status, result, self._clock()
        self._ledger.finish(record)
        self._reporter.updated(record, {"status": int(status), "result": record.result_value})
        self._schedule_refresh(REMOVAL_TIME)
        self._settle_aborts(record)
        return True

    def _settle_aborts(self, ended: CommandRecord) -> None:
        for abort in list(self._aborts):
            abort.waits_for.discard(ended.command_id)
            self._settle(abort)

    def _settle(self, abort: _Abort) -> None:
        if not abort.waits_for and abort in self._aborts:
            self._aborts.remove(abort)
            if abort.record is not None:
                self._end(abort.record, TaskStatus.COMPLETED, (ResultCode.OK, "Abort completed OK"))

    def _abort_all(self, record: CommandRecord | None) -> None:
        with self._lock:
            targets = [other for other in self._ledger.live.values() if not other.is_abort]
            abort = _Abort(record, {other.command_id for other in targets})
            self._aborts.append(abort)
            for other in targets:
                other.abort_requested = True
            self._settle(abort)
        for other in targets:
            if other.on_abort is not None:
                try:
                    other.on_abort()
                except Exception:  # noqa: BLE001 - one that cannot be asked must not spare the others
                    _log.exception("%s could not be asked to abort", other.command_id)

    def _schedule_refresh(self, delay: float | None) -> None:
        if self._later is not None and not self._refresh_due and delay is not None:
            self._refresh_due = True
            self._later(delay, self._refresh)

    def _refresh(self) -> None:
        with self._lock:
            self._refresh_due = False
            self._schedule_refresh(self._reporter.refresh())
