"""A history that is fed as the controller feeds it: by a bus, from a journal, with real procedures."""

from __future__ import annotations

import itertools
import queue
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ska_oso_oet.activity.domain import Activity, ActivityCommand, ActivityState
from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal
from ska_oso_oet.history.history import History
from ska_oso_oet.history.tables import EVENTS
from ska_oso_oet.procedure.announcer import ProcedureAnnouncer
from ska_oso_oet.procedure.domain import CallArgs, ExitRecord, Procedure, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.output import Line
from ska_oso_oet.procedure.record import Record
from ska_oso_oet.source.script import AnyScript, FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.history.store import Recovery

S = ProcedureState
DEADLINE = 20.0
TO_READY = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY)
OBSERVE = FileSystemScript(script_uri="file:///scripts/observe.py")


class Rig:
    """One run of a controller that has a history; `kill` leaves it as kill -9 would."""

    def __init__(
        self, url: str, epoch: str = "run-1", clock: Callable[[], float] = time.time, **options: Any
    ) -> None:
        self.clock = clock
        self.recovered: list[Recovery] = []
        self.health: queue.Queue[str | None] = queue.Queue()
        self.deferred: deque[Callable[[], None]] = deque()
        self.history = History(url, epoch, self.recovered.append, clock=clock, **options)
        self.history.on_health = lambda: self.health.put(self.history.health())
        self.bus = EventBus(EventJournal(epoch, 100_000, clock), self.deferred.append, self.history)
        self.announcer = ProcedureAnnouncer(self.bus)
        recovery = self.history.start()
        if recovery is not None:
            self.recovered.append(recovery)
        self.procedure_ids = itertools.count(self.history.first_procedure_id)
        self.activity_ids = itertools.count(self.history.first_activity_id)
        self.stopped = False

    def dispatch(self) -> None:
        while self.deferred:
            self.deferred.popleft()()

    def flush(self) -> None:
        self.dispatch()
        assert self.history.flush(DEADLINE), self.history.health()

    def stop(self) -> bool:
        self.dispatch()
        self.stopped = True
        return self.history.stop()

    def kill(self) -> None:
        """End the thread, but say nothing to the database."""
        self.stopped = True
        self.history._writer.stop(0.0)
        self.history._reader.close()
        self.history._database.close()

    def close(self) -> None:
        if not self.stopped:
            self.kill()

    # ------------------------------------------------------------ what is stored

    def events(self, procedure_id: int) -> list[dict[str, Any]]:
        """List the stored events of a procedure's life, in their order."""
        columns = [EVENTS.c[name] for name in ("epoch", "seq", "time", "topic", "request_id", "state")]
        query = sa.select(*columns).where(EVENTS.c.procedure_id == procedure_id)
        # A recovery is told in a later run, which numbers from 1 again.
        ordered = query.order_by(EVENTS.c.time, EVENTS.c.seq)
        with self.history._database.reading() as connection:
            return [dict(row) for row in connection.execute(ordered).mappings()]

    # ------------------------------------------------------------ what happens in a controller

    def create(
        self,
        script: AnyScript = OBSERVE,
        subarray_id: Any = 1,
        command_id: str | None = None,
        requester: str | None = None,
        to: tuple[ProcedureState, ...] = TO_READY,
    ) -> Record:
        several = (
            {"subarray_ids": subarray_id} if isinstance(subarray_id, list) else {"subarray_id": subarray_id}
        )
        arguments = CallArgs(init=ProcedureInput(**several))
        procedure = Procedure(
            next(self.procedure_ids), script, arguments, self.clock(), command_id, requester
        )
        record = Record(procedure)
        self.announcer.state(record)
        self.enter(record, *to)
        return record

    def enter(self, record: Record, *states: ProcedureState) -> None:
        for state in states:
            before = record.procedure.state
            if state is S.COMPLETE:
                record.procedure.exit = ExitRecord(cause="returned", code=0)
            record.procedure.advance(state, self.clock())
            self.announcer.entered(record, before)

    def run(self, **arguments: Any) -> Record:
        record = self.create(**arguments)
        self.enter(record, S.RUNNING, S.COMPLETE)
        return record

    def write_output(self, record: Record, *texts: str, first: int = 1) -> None:
        lines = [Line(first + n, self.clock(), "stdout", text) for n, text in enumerate(texts)]
        self.announcer.output(record.procedure.id, lines, 0)

    def request_activity(self, procedure_id: int | None = None, command_id: str | None = None) -> Activity:
        command = ActivityCommand(activity_name="observe", sbd_id="sbd-123")
        activity = Activity(next(self.activity_ids), command, self.clock(), command_id)
        activity.procedure_id = procedure_id
        self.tell_activity(activity)
        return activity

    def tell_activity(self, activity: Activity, state: ActivityState | None = None) -> None:
        if state is not None:
            activity.advance(state, self.clock())
        summary = activity.summary()
        self.bus.publish(
            "activity.lifecycle.statechange",
            "ActivityService",
            {"new_state": summary.state.value, "result": summary.to_dict()},
            request_id=activity.command_id,
            subject=summary,
        )
