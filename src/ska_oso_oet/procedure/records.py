"""Records: the procedures that the service remembers. Not thread-safe; the service has the lock."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ska_oso_oet.errors import NotReady, ProcedureNotFound, Rejected
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
from ska_oso_oet.procedure.earlier import EarlierRuns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ska_oso_oet.procedure.domain import Procedure
    from ska_oso_oet.procedure.record import Record


class Records:
    """Every live procedure and the newest `history_length` that have ended, also those of earlier runs."""

    def __init__(self, history_length: int) -> None:
        self._history_length = history_length
        self._ids = itertools.count(1)
        self._records: dict[int, Record] = {}
        self._earlier = EarlierRuns[ProcedureSummary](history_length)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def number_from(self, first: int) -> None:
        """Give ids from `first` on; before the first is given."""
        self._ids = itertools.count(first)

    def next_id(self) -> int:
        """Give an id to a procedure."""
        return next(self._ids)

    def remember_earlier(self, ended: Sequence[ProcedureSummary]) -> None:
        """Take what ended in earlier runs, oldest first."""
        self._earlier.remember(ended)

    def add(self, record: Record) -> None:
        """Remember a procedure."""
        self._records[record.procedure.id] = record

    def get(self, pid: int) -> Record:
        """Find a procedure of this run; raises ProcedureNotFound."""
        try:
            return self._records[pid]
        except KeyError:
            raise ProcedureNotFound(
                f"there is no procedure {pid}" if pid else "there is no procedure"
            ) from None

    def newest(self) -> Record:
        """Find the newest procedure of this run; raises ProcedureNotFound when there is none."""
        return self.get(max(self._records, default=0))

    def find(self, pid: int | None, state: ProcedureState, wanted: str) -> Record:
        """Find a procedure by its id, or without one the newest in `state`, if there is no doubt."""
        if pid is not None:
            return self.get(pid)
        candidates = [record for record in self if record.procedure.state is state]
        if not candidates:
            raise NotReady(f"no procedure is {wanted}")
        if state is ProcedureState.RUNNING and len(candidates) > 1:
            ids = ", ".join(str(record.procedure.id) for record in candidates)
            raise Rejected(f"procedures {ids} are running: say which one is meant")
        return candidates[-1]

    def holders(self) -> list[Procedure]:
        """List the procedures that hold a subarray."""
        return [record.procedure for record in self if record.holds]

    def unstarted_beyond(self, limit: int) -> list[Record]:
        """List those that wait for their start, beyond the `limit` that became READY last; oldest first."""
        waiting = [record for record in self if record.waits_for_start]
        waiting.sort(key=lambda record: record.procedure.states[-1][1])
        return waiting[: max(0, len(waiting) - limit)]

    def summaries(self) -> list[ProcedureSummary]:
        """Describe all that are listed, those of earlier runs first."""
        return self._earlier.before(record.procedure.summary() for record in self)

    def forget_oldest(self) -> list[int]:
        """Forget what has ended beyond the newest, and name it."""
        ended = [pid for pid, record in self._records.items() if record.procedure.state.final]
        forgotten = ended[: max(0, len(ended) - self._history_length)]
        for pid in forgotten:
            del self._records[pid]
        return forgotten
