"""ProcedureSteps are what moves a procedure on, one step at a time, under the lock of the service."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ska_oso_oet.errors import Rejected, SubarrayBusy
from ska_oso_oet.procedure.aborts import AbortRun
from ska_oso_oet.procedure.announcer import ProcedureAnnouncer
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.exclusivity import held_by, holder_for
from ska_oso_oet.procedure.output import OutputRecorder
from ska_oso_oet.procedure.ports import Allowed
from ska_oso_oet.procedure.queries import ProcedureQueries
from ska_oso_oet.procedure.record import Record, StartRequest, StopRequest
from ska_oso_oet.procedure.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.procedure.ports import ServiceRules, WorkerPool

_S = ProcedureState
_log = logging.getLogger(__name__)


class ProcedureSteps(ProcedureQueries):
    """The half of ScriptExecutionService that commands and reports share; whoever calls it has the lock."""

    def __init__(self, bus: EventBus, clock: Callable[[], float], rules: ServiceRules) -> None:
        self._announcer = ProcedureAnnouncer(bus)
        self._clock = clock
        self._rules = rules
        self._pool: WorkerPool | None = None
        output = OutputRecorder(clock, self._call_later, self._announcer.output, rules.secrets)
        super().__init__(bus, Records(rules.list_length), output)

    def use(self, pool: WorkerPool) -> None:
        """Use the pool, which in turn was made with this service as its listener."""
        self._pool = pool

    @property
    def _workers(self) -> WorkerPool:
        if self._pool is None:
            raise RuntimeError("the service has no pool of workers")
        return self._pool

    def _call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        self._workers.call_later(delay, function, *args)

    def _create(
        self,
        cmd: PrepareProcessCommand,
        command_id: str | None = None,
        requester: str | None = None,
        abort_of: AbortRun | None = None,
    ) -> Record:
        procedure = Procedure(
            self._records.next_id(),
            cmd.script,
            cmd.script_args,
            created_at=self._clock(),
            command_id=command_id,
            requester=requester,
            abort_of=None if abort_of is None else abort_of.content["procedure_id"],
        )
        record = Record(procedure, abort_of=abort_of)
        self._records.add(record)
        self._output.open(procedure.id)
        self._announcer.request("create", cmd, command_id, procedure.id)
        self._announcer.state(record)
        # Whoever configures the abort script may have it anywhere.
        roots = self._rules.script_roots if abort_of is None else None
        allowed = Allowed(subarrays=self._rules.subarrays, script_roots=roots)
        self._workers.create_worker(procedure.id, cmd, allowed)
        return record

    def _run_main(self, record: Record, request: StartRequest | None = None) -> None:
        if request is not None:
            record.start_command, record.starter = request.command_id, request.requester
        # From now on the subarray is in use; the worker carries out the order, or its end is noticed.
        self._enter(record, _S.RUNNING)
        procedure = record.procedure
        self._workers.send_run(procedure.id, "main", procedure.script_args.main, record.offered)

    def _on_ready(self, record: Record) -> None:
        if record.abort_of is not None:
            self._run_main(record)
        elif record.queued is not None and not record.stops:
            self._run_queued(record, record.queued)
        # Each is a process; whoever creates one and forgets it does so again and again.
        limit = self._rules.max_ready
        for unstarted in self._records.unstarted_beyond(limit):
            why = f"nobody had started it, and more than {limit} procedures were READY (MaxReadyProcedures)"
            _log.warning("Procedure %d is ended: %s", unstarted.procedure.id, why)
            self._stop(unstarted, StopRequest(why=why))

    def _run_queued(self, record: Record, request: StartRequest) -> None:
        """Carry out a start that has waited for READY; what cannot be started now stays READY."""
        record.queued = None
        procedure = record.procedure
        try:
            self._require_start(procedure)
        except Rejected as refusal:
            procedure.script_args = procedure.script_args.model_copy(update={"main": request.before})
            self._announcer.start_refused(record, request, str(refusal))
        else:
            self._run_main(record, request)

    def _stop(self, record: Record, request: StopRequest) -> None:
        if not record.procedure.state.final:
            record.stops.append(request)
            self._workers.stop_worker(record.procedure.id)

    def _abort_subarrays(self, stopped: Record) -> None:
        """Run the abort script for each subarray of a stopped procedure, or announce why it cannot be run."""
        procedure, script = stopped.procedure, self._rules.abort_script
        if script is None:
            self._announcer.abort_not_run(stopped, "no abort script is configured")
            return
        run = AbortRun(tuple(stop for stop in stopped.stops if stop.run_abort), stopped.content())
        calls = {number: CallArgs(init=ProcedureInput(subarray_id=number)) for number in procedure.subarrays}
        # Found before the first abort is made, which holds its own.
        holders = {
            number: self._holder_for(replace(procedure, script_args=call, states=[]))
            for number, call in calls.items()
        }
        for number, holder in holders.items():
            if holder is not None:
                run.not_run[number] = held_by(holder)
                continue
            command = PrepareProcessCommand(script=script, script_args=calls[number])
            abort = self._create(command, abort_of=run)
            run.aborts.append(abort)
            self._workers.call_later(self._rules.abort_timeout, self._on_abort_overdue, abort)
        if not run.aborts:
            why = "; ".join(dict.fromkeys(run.not_run.values()))
            self._announcer.abort_not_run(stopped, why or f"procedure {procedure.id} has no subarray_id")

    def _on_abort_overdue(self, abort: Record) -> None:
        with self._lock:
            if not abort.procedure.state.final:
                abort.overdue = True
                self._stop(abort, StopRequest())

    def _holder_for(self, procedure: Procedure) -> Procedure | None:
        return holder_for(procedure, self._records.holders(), self._rules.exclusivity)

    def _require_start(self, procedure: Procedure) -> None:
        """Raise SubarrayNotAllowed, or SubarrayBusy, for what main must not be called of now."""
        self._rules.subarrays.check_start(procedure.id, procedure.subarrays)
        if (holder := self._holder_for(procedure)) is not None:
            raise SubarrayBusy(f"procedure {procedure.id} cannot start: {held_by(holder)}")

    def _enter(self, record: Record, state: ProcedureState) -> None:
        before = record.procedure.state
        record.procedure.advance(state, self._clock())
        self._announcer.entered(record, before)
