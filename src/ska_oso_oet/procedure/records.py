"""Records holds the procedures that the service remembers, under the lock of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.errors import NotReady, ProcedureNotFound, Rejected
from ska_oso_oet.procedure.commands import which_to_stop
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary, user_of
from ska_oso_oet.procedure.earlier import EarlierRuns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ska_oso_oet.procedure.domain import Procedure
    from ska_oso_oet.procedure.record import Record


def _of_another(record: Record) -> str:
    procedure = record.procedure
    user = user_of(procedure.requester) or "another"
    return f"procedure {procedure.id} ({procedure.state}) was created by {user}"


class Records:
    """Every live procedure and the newest `list_length` that have ended, also those of earlier runs."""

    def __init__(self, list_length: int) -> None:
        self._list_length = list_length
        self._first_id, self._newest_id = 1, 0
        self._records: dict[int, Record] = {}
        self._earlier = EarlierRuns[ProcedureSummary](list_length)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    def number_from(self, first: int) -> None:
        """Count ids from `first` on; to be called before the first one is used."""
        self._first_id, self._newest_id = first, first - 1

    def next_id(self) -> int:
        """Return the id for a new procedure."""
        self._newest_id += 1
        return self._newest_id

    def remember_earlier(self, ended: Sequence[ProcedureSummary]) -> None:
        """Keep what ended in earlier runs, oldest first."""
        self._earlier.remember(ended)

    def add(self, record: Record) -> None:
        """Remember a procedure."""
        self._records[record.procedure.id] = record

    def known(self, procedure_ids: Iterable[int]) -> Iterator[Record]:
        """Find the procedures of this run that have these ids, and leave out those that are not known."""
        return (
            self._records[procedure_id] for procedure_id in procedure_ids if procedure_id in self._records
        )

    def get(self, procedure_id: int) -> Record:
        """Find a procedure of this run; raises ProcedureNotFound.

        One that has been forgotten has ended. Procedures of earlier runs cannot be commanded, and not every
        id below the first of this run was used.
        """
        try:
            return self._records[procedure_id]
        except KeyError:
            raise ProcedureNotFound(self._why_not_found(procedure_id)) from None

    def _why_not_found(self, procedure_id: int) -> str:
        if self._first_id <= procedure_id <= self._newest_id:
            return f"procedure {procedure_id} has ended already"
        if 0 < procedure_id < self._first_id:
            return f"procedure {procedure_id}, if there was one, ended with an earlier run of the controller"
        return f"there is no procedure {procedure_id}" if procedure_id else "there is no procedure"

    def newest(self) -> Record:
        """Find the newest procedure of this run; raises ProcedureNotFound when there is none."""
        return self.get(max(self._records, default=0))

    def last_of(self, requester: str | None) -> Record:
        """Find the procedure that was created last, by `requester` if that is known; raises NotReady.

        What another user has created is never meant, and neither is an abort.
        """
        user = user_of(requester)
        created = [record for record in self if record.abort_of is None]
        own = [record for record in created if user in {None, user_of(record.procedure.requester)}]
        if own:
            return own[-1]
        if not created:
            raise NotReady("no procedure has been created")
        raise NotReady(
            f"{user} has created no procedure, and {_of_another(created[-1])}: say which one is meant"
        )

    def to_stop(self, procedure_id: int | None, requester: str | None) -> Record:
        """Find a procedure by its id, or without one the one that runs for `requester`, if there is no doubt.

        Raises Rejected, naming those that run.
        """
        if procedure_id is not None:
            return self.get(procedure_id)
        user = user_of(requester)
        running = [
            record
            for record in self
            if record.procedure.state is ProcedureState.RUNNING and record.abort_of is None
        ]
        own = [record for record in running if user is None or user in record.users]
        if len(own) == 1:
            return own[0]
        if running and not own:
            others = "; ".join(map(_of_another, running))
            raise Rejected(f"no procedure of {user} is RUNNING, and {others}: say which one to stop")
        live = [record.procedure.summary() for record in self if not record.procedure.state.final]
        raise Rejected(which_to_stop([record.procedure.id for record in own], live))

    def holders(self) -> list[Procedure]:
        """List the procedures that hold a subarray."""
        return [record.procedure for record in self if record.holds]

    def unstarted_beyond(self, limit: int) -> list[Record]:
        """List those that wait for their start, beyond the `limit` that became READY last; oldest first."""
        waiting = [record for record in self if record.waits_for_start]
        waiting.sort(key=lambda record: record.procedure.states[-1][1])
        return waiting[: max(0, len(waiting) - limit)]

    def live(self, *, aborts: bool) -> bool:
        """Return whether any procedure has not ended: abort scripts, or else all others."""
        return any(
            not record.procedure.state.final and (record.abort_of is not None) is aborts for record in self
        )

    def summaries(self) -> list[ProcedureSummary]:
        """Describe all that are listed, those of earlier runs first."""
        return self._earlier.before(record.procedure.summary() for record in self)

    def forget_oldest(self) -> list[int]:
        """Forget what has ended beyond the newest, and name it."""
        ended = [
            procedure_id for procedure_id, record in self._records.items() if record.procedure.state.final
        ]
        forgotten = ended[: max(0, len(ended) - self._list_length)]
        for procedure_id in forgotten:
            del self._records[procedure_id]
        return forgotten
