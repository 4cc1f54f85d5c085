"""ScriptExecutionService is the one place where procedures are made, started, stopped and remembered."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.errors import NotFound, NotReady, Rejected
from ska_oso_oet.event.journal import covers
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureHistory, ProcedureState, ProcedureSummary
from ska_oso_oet.procedure.ports import ServiceRules
from ska_oso_oet.procedure.record import StartRequest, StopRequest
from ska_oso_oet.procedure.steps import ProcedureSteps
from ska_oso_oet.procedure.verdict import judge, stacktrace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.mptools import ExitStatus
    from ska_oso_oet.mptools.pipes import Stream
    from ska_oso_oet.procedure.reports import Ending

__all__ = [
    "PrepareProcessCommand",
    "ProcedureHistory",
    "ProcedureSummary",
    "ScriptExecutionService",
    "StartProcessCommand",
    "StopProcessCommand",
]
_S = ProcedureState
_log = logging.getLogger(__name__)
KILL_SECS: Final = 2.0
"""From SIGKILL until the end of a process is known: the operating system needs that long only in trouble."""


class ScriptExecutionService(ProcedureSteps):
    """Facade of the procedure domain, and sole writer of procedure state.

    Commands come from any thread and return at once; events of the bus report what becomes of them. The
    reports of workers come on the engine's thread: each is applied first and published then, under one lock,
    so that nobody sees an event before the state that it speaks of, and all see them in one order.
    """

    def __init__(self, bus: EventBus, clock: Callable[[], float], rules: ServiceRules | None = None) -> None:
        super().__init__(bus, clock, rules or ServiceRules())
        self._ending = False

    def announce_lost(self, lost: Sequence[ProcedureSummary]) -> None:
        """Announce procedures that have FAILED as the controller that ran them was lost."""
        with self._lock:
            for summary in lost:
                self._announcer.lost(summary)

    # ------------------------------------------------------------ commands

    def prepare(
        self,
        cmd: PrepareProcessCommand,
        command_id: str | None = None,
        requester: str | None = None,
        *,
        offered: Sequence[str] = (),
    ) -> ProcedureSummary:
        """Load a script in a process of its own, and call its `init`; does not wait for it.

        Arguments of main that are `offered` are passed only to a main that has such parameters. Raises
        Rejected when the script, or a subarray, is not allowed.
        """
        self._rules.check_script(cmd.script)
        self._rules.subarrays.check(cmd.script_args.subarrays)
        with self._lock:
            if self._ending:
                raise Rejected("the controller is stopping")
            record = self._create(cmd, command_id, requester)
            record.offered = tuple(offered)
            return record.procedure.summary()

    def start(
        self, cmd: StartProcessCommand, command_id: str | None = None, requester: str | None = None
    ) -> ProcedureSummary:
        """Call the `main` of a READY procedure; does not wait for it.

        With `force_start` one that is being prepared is started as soon as it is READY, if its subarray is
        free then. Raises NotReady, SubarrayNotAllowed, or SubarrayBusy, which names the holder.
        """
        with self._lock:
            last = self._records.last_of(requester) if cmd.procedure_id is None else None
            record = last or self._records.get(cmd.procedure_id or 0)
            procedure = record.procedure
            queued = cmd.force_start and record.can_queue
            if not queued and (procedure.state is not _S.READY or record.stops):
                raise NotReady(record.why_not_ready(", which was created last," if last else ""))
            arguments = procedure.script_args
            if cmd.script_args.main is not None:
                arguments = arguments.model_copy(update={"main": cmd.script_args.main})
            # The subarrays that count are those with which main is going to be called.
            if queued:
                self._rules.subarrays.check(arguments.subarrays)
            else:
                self._require_start(replace(procedure, script_args=arguments, states=[]))
            request = StartRequest(command_id, requester, before=procedure.script_args.main)
            procedure.script_args = arguments
            self._announcer.request("start", cmd, command_id, procedure.id)
            if queued:
                record.queued = request
            else:
                self._run_main(record, request)
            return procedure.summary()

    def stop(
        self, cmd: StopProcessCommand, command_id: str | None = None, requester: str | None = None
    ) -> list[ProcedureSummary]:
        """Stop a procedure, in whichever live state it is; does not wait for it.

        A stop of one that is being stopped joins that stop. With `run_abort` the abort script is run for each
        of its subarrays once its process is gone, as a procedure of its own. Raises ProcedureNotFound, or
        NotReady when it has ended already.
        """
        with self._lock:
            record = self._records.to_stop(cmd.procedure_id, requester)
            if record.procedure.state.final:
                raise NotReady(
                    f"procedure {record.procedure.id} has ended already: it is {record.procedure.state}"
                )
            self._announcer.request("stop", cmd, command_id, record.procedure.id)
            self._stop(record, StopRequest(command_id, record.wants_abort(cmd)))
            return [record.procedure.summary()]

    def join_stop(self, cmd: StopProcessCommand, requester: str | None = None) -> str | None:
        """Return the command that is doing already what `cmd` asks for, and note that it was asked for again.

        None when there is no such command: then `stop` stops the procedure, or refuses with the reason.
        """
        with self._lock, suppress(NotFound, Rejected):
            record = self._records.to_stop(cmd.procedure_id, requester)
            command_id = record.stop_in_progress(run_abort=record.wants_abort(cmd))
            if command_id is not None:
                self._announcer.request("stop", cmd, command_id, record.procedure.id)
            return command_id
        return None

    def end_all(self, grace: float, *, run_abort: bool) -> None:
        """Stop every live procedure, as at the end of the service, and return when all have ended.

        With `run_abort` the subarrays of those that run are aborted. An abort that is going on, or that was
        asked for with a stop, comes to its end. Not waited for is what is not killed `grace` seconds later.
        """
        with self._lock:
            self._ending = True
            for record in self._records:
                if record.abort_of is None:
                    runs = record.procedure.state is _S.RUNNING
                    self._stop(record, StopRequest(run_abort=run_abort and runs))
            self._changed.wait_for(lambda: not self._records.live(aborts=False), grace + KILL_SECS)
            patience = self._rules.abort_timeout + grace + KILL_SECS
            self._changed.wait_for(lambda: not self._records.live(aborts=True), patience)

    def abandon(self, command_id: str) -> None:
        """Stop the live procedure that a command has created or started, if there is one."""
        with self._lock:
            for record in self._records:
                if command_id in record.commands:
                    self._stop(record, StopRequest())

    # ------------------------------------------------------------ reports, on the engine's thread

    def on_state(self, procedure_id: int, state: ProcedureState) -> None:
        """Apply a state that a worker has entered."""
        with self._lock:
            record = self._records.get(procedure_id)
            self._enter(record, state)
            if state is _S.READY:
                self._on_ready(record)

    def on_commit(self, procedure_id: int, commit: str) -> None:
        """Note the commit of a script from git, once: before any of its code is run."""
        with self._lock:
            # Published with the state that follows: each state is published once.
            if not self._records.get(procedure_id).procedure.at_commit(commit):
                _log.warning(
                    "procedure %s is taken from another commit than it says now: %s", procedure_id, commit
                )

    def on_subarray(self, procedure_id: int, subarray_id: int) -> None:
        """Note the subarray that a script gets, as it needs one and nobody has named any."""
        with self._lock:
            procedure = self._records.get(procedure_id).procedure
            # A start that is queued already may have named another one, for main.
            if procedure.state is _S.IDLE and not procedure.script_args.init_subarrays:
                procedure.for_subarray(subarray_id)

    def on_event(self, procedure_id: int, topic: str, data: dict[str, Any]) -> None:
        """Publish what a script published, and note its progress; `data` is changed where it has secrets."""
        self._rules.secrets.mask(data)
        with self._lock:
            record = self._records.get(procedure_id)
            if covers("procedure.progress", topic) and record.note_progress(data):
                self._announcer.progress(record, topic, data)
            else:
                self._announcer.script_event(procedure_id, topic, data)

    def on_output(self, procedure_id: int, stream: Stream, data: bytes) -> None:
        """Keep what a procedure writes."""
        self._output.write(procedure_id, stream, data)

    def on_log(self, procedure_id: int, level: str, text: str) -> None:
        """Keep what a script logs."""
        self._output.log(procedure_id, level, text)

    def on_end(self, procedure_id: int, status: ExitStatus, ending: Ending | None) -> None:
        """Apply the end of a worker's process, which the operating system has confirmed."""
        self._output.close(procedure_id)
        with self._lock:
            record = self._records.get(procedure_id)
            exit_record = judge(status, ending, record.procedure.state)
            record.end(exit_record, stacktrace_of(ending, exit_record), self._rules.secrets.masked)
            self._enter(record, exit_record.state)
            if any(stop.run_abort for stop in record.stops):
                self._abort_subarrays(record)
            for forgotten in self._records.forget_oldest():
                self._output.forget(forgotten)
            self._changed.notify_all()
