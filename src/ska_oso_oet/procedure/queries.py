"""ProcedureQueries is the half of ScriptExecutionService that reads and changes nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from ska_oso_oet.errors import NotReady, ProcedureNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
    from ska_oso_oet.procedure.output import OutputRecorder
    from ska_oso_oet.procedure.records import Records


class Holder(NamedTuple):
    """A procedure that holds subarrays; everything where it names none."""

    id: int
    state: ProcedureState
    subarrays: list[int]


class ProcedureQueries:
    """Answers from the records, under the lock of whoever changes them."""

    def __init__(self, bus: EventBus, records: Records, output: OutputRecorder) -> None:
        self._bus = bus
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._records = records
        self._output = output

    def number_from(self, first: int) -> None:
        """Count ids of procedures from `first` on; to be called before the first one is made."""
        self._records.number_from(first)

    def remember(self, ended: Sequence[ProcedureSummary]) -> None:
        """List the newest procedures of earlier runs, oldest first, until newer ones replace them."""
        with self._lock:
            self._records.remember_earlier(ended)

    def is_abort_due(self, *, run_abort: bool) -> bool:
        """Return whether an abort goes on or is asked for, or follows when `run_abort` ends all that runs."""
        with self._lock:
            return any(record.is_abort_due(run_abort=run_abort) for record in self._records)

    def summarise(self, procedure_ids: Iterable[int] | None = None) -> list[ProcedureSummary]:
        """Describe the procedures of this run with these ids, or all that are listed.

        An id that is not known is left out.
        """
        with self._lock:
            if procedure_ids is None:
                return self._records.summaries()
            return [record.procedure.summary() for record in self._records.known(procedure_ids)]

    def newest(self) -> ProcedureSummary:
        """Describe the procedure that was created last; raises ProcedureNotFound when there is none."""
        with self._lock:
            listed = self._records.summaries()
        if not listed:
            raise ProcedureNotFound("there is no procedure")
        return max(listed, key=lambda summary: summary.id)

    def last_of(self, requester: str | None) -> ProcedureSummary:
        """Describe the procedure that a start without an id means; raises ProcedureNotFound."""
        with self._lock:
            try:
                return self._records.last_of(requester).procedure.summary()
            except NotReady as error:
                raise ProcedureNotFound(str(error)) from None

    def snapshot(self) -> tuple[int, list[ProcedureSummary]]:
        """Describe all procedures, with the number of the newest event that is contained in it."""
        with self._lock:
            return self._bus.journal.last_seq, self._records.summaries()

    def holders(self) -> list[Holder]:
        """List who holds which subarrays."""
        with self._lock:
            return [Holder(each.id, each.state, each.subarrays) for each in self._records.holders()]

    def output(self, procedure_id: int | None, since: int) -> str:
        """Return the JSON of GetOutput, of the newest procedure without an id; raises ProcedureNotFound."""
        with self._lock:
            record = self._records.newest() if procedure_id is None else self._records.get(procedure_id)
            return self._output.to_json(record.procedure.id, since)
