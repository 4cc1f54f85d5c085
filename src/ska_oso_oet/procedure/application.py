"""ScriptExecutionService: the one place where procedures are made, started, stopped and remembered."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from ska_oso_oet.errors import NotReady, ProcedureNotFound, Rejected, SubarrayBusy
from ska_oso_oet.event.journal import covers
from ska_oso_oet.procedure.changes import CommandOutcome, ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import (
    Procedure,
    ProcedureHistory,
    ProcedureState,
    ProcedureSummary,
    Progress,
)
from ska_oso_oet.procedure.exclusivity import Exclusivity, holder_for
from ska_oso_oet.procedure.pool import ScriptEvent
from ska_oso_oet.procedure.record import Record
from ska_oso_oet.procedure.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.mptools import ExitStatus
    from ska_oso_oet.mptools.proc import Stream
    from ska_oso_oet.procedure.domain import AnyScript, ProcedureInput
    from ska_oso_oet.procedure.reports import Ending

__all__ = [
    "PrepareProcessCommand",
    "ProcedureHistory",
    "ProcedureSummary",
    "ScriptExecutionService",
    "StartProcessCommand",
    "StopProcessCommand",
]

SOURCE: Final = "SESWorker"
"""`msg_src` of the events that this service makes, as in the reference documents."""

_S = ProcedureState
_TOPIC_OF_STATE: Final = {
    _S.INITIALISING: "procedure.lifecycle.started",
    _S.READY: "procedure.lifecycle.ready",
    _S.RUNNING: "procedure.lifecycle.started",
    _S.COMPLETE: "procedure.lifecycle.complete",
    _S.FAILED: "procedure.lifecycle.failed",
    _S.STOPPED: "procedure.lifecycle.stopped",
}


class WorkerPool(Protocol):
    """What the service needs of ScriptWorkerPool; each call returns at once and calls nothing back."""

    def create_worker(self, pid: int, command: PrepareProcessCommand) -> None:
        """Make the worker of a procedure."""

    def send_run(self, pid: int, fn_name: str, run_args: ProcedureInput) -> None:
        """Have it call a function."""

    def stop_worker(self, pid: int) -> None:
        """Stop it."""


class ScriptExecutionService:
    """Facade of the procedure domain, and sole writer of procedure state.

    Commands come from any thread and return at once; what becomes of them is told by events of the bus. The
    reports of workers come on the engine's thread: each is applied first and published then, under one lock,
    so that nobody sees an event before the state that it speaks of, and all see them in one order.
    """

    def __init__(
        self,
        bus: EventBus,
        *,
        clock: Callable[[], float],
        check_script: Callable[[AnyScript], None] = lambda _: None,
        exclusivity: Exclusivity = Exclusivity.SUBARRAY,
        history_length: int = 10,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._check_script = check_script
        self._exclusivity = exclusivity
        self._history_length = history_length
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._records: dict[int, Record] = {}
        self._pool: WorkerPool | None = None

    def use(self, pool: WorkerPool) -> None:
        """Take the pool, which in turn was given this service to listen."""
        self._pool = pool

    # ------------------------------------------------------------ commands

    def prepare(self, cmd: PrepareProcessCommand, command_id: str | None = None) -> ProcedureSummary:
        """Load a script in a process of its own, and call its `init`; does not wait for it.

        Raises Rejected when the script is not allowed.
        """
        self._check_script(cmd.script)
        with self._lock:
            procedure = Procedure(
                next(self._ids), cmd.script, cmd.script_args, created_at=self._clock(), command_id=command_id
            )
            record = self._records[procedure.id] = Record(procedure)
            self._publish_request("create", cmd, command_id)
            self._publish_state(record)
            self._workers.create_worker(procedure.id, cmd)
            return procedure.summary()

    def start(self, cmd: StartProcessCommand, command_id: str | None = None) -> ProcedureSummary:
        """Call the `main` of a READY procedure; does not wait for it.

        Raises ProcedureNotFound, NotReady, or SubarrayBusy, which names the holder.
        """
        with self._lock:
            record = self._find(cmd.procedure_id, _S.READY, "READY to be started")
            procedure = record.procedure
            if procedure.state is not _S.READY or record.start_command or record.stop_commands:
                raise NotReady(record.why_not_ready())
            self._require_subarray(procedure)
            if cmd.script_args.main is not None:
                procedure.script_args = procedure.script_args.model_copy(
                    update={"main": cmd.script_args.main}
                )
            record.start_command = command_id or "unnamed"
            self._publish_request("start", cmd, command_id)
            # From now on the subarray is taken; the worker does as it is told, or its end is noticed.
            self._enter(record, _S.RUNNING)
            self._workers.send_run(procedure.id, "main", procedure.script_args.main)
            return procedure.summary()

    def stop(self, cmd: StopProcessCommand, command_id: str | None = None) -> list[ProcedureSummary]:
        """Stop a procedure, in whichever live state it is; does not wait for it.

        A stop of one that is being stopped joins that stop. Raises ProcedureNotFound, or NotReady when it has
        ended already.
        """
        with self._lock:
            record = self._find(cmd.procedure_id, _S.RUNNING, "running")
            if record.procedure.state.final:
                raise NotReady(
                    f"procedure {record.procedure.id} has ended already: it is {record.procedure.state}"
                )
            record.stop_commands.append(command_id)
            self._publish_request("stop", cmd, command_id)
            self._workers.stop_worker(record.procedure.id)
            return [record.procedure.summary()]

    def stop_all(self) -> None:
        """Stop every live procedure, as at the end of the service."""
        with self._lock:
            for record in self._records.values():
                if not record.procedure.state.final:
                    record.stop_commands.append(None)
                    self._workers.stop_worker(record.procedure.id)

    # ------------------------------------------------------------ queries

    def summarise(self, pids: Iterable[int] | None = None) -> list[ProcedureSummary]:
        """Describe the procedures with these ids, or all; raises ProcedureNotFound for an unknown id."""
        with self._lock:
            wanted = self._records if pids is None else pids
            return [self._get(pid).procedure.summary() for pid in wanted]

    def newest(self) -> ProcedureSummary:
        """Describe the procedure that was created last; raises ProcedureNotFound when there is none."""
        with self._lock:
            return self._get(max(self._records, default=0)).procedure.summary()

    def snapshot(self) -> tuple[int, list[ProcedureSummary]]:
        """Describe all procedures, with the number of the newest event that is contained in it."""
        with self._lock:
            return self._bus.journal.last_seq, [
                record.procedure.summary() for record in self._records.values()
            ]

    def output(self, pid: int | None, since: int) -> str:
        """Answer GetOutput as JSON, of the newest procedure if there is no id; raises ProcedureNotFound."""
        with self._lock:
            record = self._get(max(self._records, default=0) if pid is None else pid)
            return record.output.to_json(record.procedure.id, since)

    # ------------------------------------------------------------ reports, on the engine's thread

    def on_state(self, pid: int, state: ProcedureState) -> None:
        """Apply a state that a worker has entered."""
        with self._lock:
            self._enter(self._records[pid], state)

    def on_event(self, pid: int, topic: str, data: dict[str, Any]) -> None:
        """Publish what a script published, and note its progress."""
        content = dict(data)
        source = str(content.pop("msg_src", None) or pid)
        request_id = content.pop("request_id", None)
        subject: object = ScriptEvent(pid, data)
        with self._lock:
            if covers("procedure.progress", topic) and (progress := _progress_in(data)) is not None:
                record = self._records[pid]
                record.procedure.progress = progress
                subject = self._change(record)
            self._bus.publish(topic, source, content, request_id=request_id, subject=subject)

    def on_output(self, pid: int, stream: Stream, data: bytes) -> None:
        """Keep what a procedure writes."""
        with self._lock:
            self._records[pid].output.feed(stream, data, self._clock())

    def on_end(self, pid: int, status: ExitStatus, ending: Ending | None) -> None:
        """Apply the end of a worker's process, which the operating system has confirmed."""
        with self._lock:
            record = self._records[pid]
            procedure = record.procedure
            record.output.finish(self._clock())
            verdict = judge(status, ending, procedure.state)
            procedure.exit, procedure.stacktrace = verdict.exit, verdict.stacktrace
            self._enter(record, verdict.state)
            self._forget_oldest()

    # ------------------------------------------------------------ under the lock

    @property
    def _workers(self) -> WorkerPool:
        if self._pool is None:
            raise RuntimeError("the service has no pool of workers")
        return self._pool

    def _get(self, pid: int) -> Record:
        try:
            return self._records[pid]
        except KeyError:
            raise ProcedureNotFound(
                f"there is no procedure {pid}" if pid else "there is no procedure"
            ) from None

    def _find(self, pid: int | None, state: ProcedureState, wanted: str) -> Record:
        """Find a procedure by its id, or without one the newest in `state`, if there is no doubt."""
        if pid is not None:
            return self._get(pid)
        candidates = [record for record in self._records.values() if record.procedure.state is state]
        if not candidates:
            raise NotReady(f"no procedure is {wanted}")
        if state is _S.RUNNING and len(candidates) > 1:
            ids = ", ".join(str(record.procedure.id) for record in candidates)
            raise Rejected(f"procedures {ids} are running: say which one is meant")
        return candidates[-1]

    def _require_subarray(self, procedure: Procedure) -> None:
        holders = [record.procedure for record in self._records.values() if record.holds]
        holder = holder_for(procedure, holders, self._exclusivity)
        if holder is not None:
            of = "everything" if holder.subarray_id is None else f"subarray {holder.subarray_id}"
            raise SubarrayBusy(
                f"procedure {procedure.id} cannot start: "
                f"procedure {holder.id}, which is {holder.state}, holds {of}"
            )

    def _enter(self, record: Record, state: ProcedureState) -> None:
        before = record.procedure.state
        record.procedure.advance(state, self._clock())
        self._publish_state(record)
        topic = "procedure.lifecycle.created" if (before, state) == (_S.LOADING, _S.IDLE) else None
        if topic := topic or _TOPIC_OF_STATE.get(state):
            result = {"result": record.procedure.summary().to_dict()}
            self._bus.publish(topic, SOURCE, result, request_id=record.request_id)
        if record.procedure.stacktrace is not None:
            trace = {"stacktrace": record.procedure.stacktrace}
            self._bus.publish("procedure.lifecycle.stacktrace", str(record.procedure.id), trace)

    def _publish_state(self, record: Record) -> None:
        self._bus.publish(
            "procedure.lifecycle.statechange",
            str(record.procedure.id),
            {"new_state": record.procedure.state.value},
            request_id=record.request_id,
            subject=self._change(record, record.outcomes()),
        )

    def _publish_request(
        self,
        action: str,
        cmd: PrepareProcessCommand | StartProcessCommand | StopProcessCommand,
        command_id: str | None,
    ) -> None:
        self._bus.publish(
            f"request.procedure.{action}", "OETController", {"cmd": cmd.to_dict()}, request_id=command_id
        )

    def _change(self, record: Record, outcomes: tuple[CommandOutcome, ...] = ()) -> ProcedureChange:
        return ProcedureChange(record.procedure.summary(), outcomes, progress_of=record.start_command)

    def _forget_oldest(self) -> None:
        finished = [pid for pid, record in self._records.items() if record.procedure.state.final]
        for pid in finished[: max(0, len(finished) - self._history_length)]:
            del self._records[pid]


def _progress_in(data: dict[str, Any]) -> Progress | None:
    try:
        return Progress(percent=data["progress"], message=str(data.get("message", "")))
    except (KeyError, ValueError):
        return None
