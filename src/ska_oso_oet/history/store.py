"""HistoryStore writes to the history's tables."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ska_oso_oet.activity.domain import ActivityState, ActivitySummary
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.history.damage import DamagedRow, decoded
from ska_oso_oet.history.errors import is_of_the_store
from ska_oso_oet.history.tables import ACTIVITIES, EVENTS, OUTPUT, PROCEDURES, REQUESTS, RUNS, SUBARRAYS
from ska_oso_oet.procedure.domain import ExitRecord, ProcedureState, ProcedureSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ska_oso_oet.history.backlog import Rows
    from ska_oso_oet.history.damage import Damage
    from ska_oso_oet.history.database import HistoryDatabase
    from ska_oso_oet.history.rows import Row

Summary = TypeVar("Summary", ProcedureSummary, ActivitySummary)
_log = logging.getLogger(__name__)
_CHUNK: Final = 500
_FINAL_PROCEDURES: Final = [state.value for state in ProcedureState if state.final]
_FINAL_ACTIVITIES: Final = [state.value for state in ActivityState if state.final]
UNHEARD: Final = 100
"""Ids that are left out after a run that did not end well: some may have been in use and never stored."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the controller: from its start to its end."""

    epoch: str
    started: float
    host: str
    version: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What is found at a start.

    The first free ids, what a run before had left alive, now FAILED, and what ended last, oldest first.
    """

    first_procedure_id: int
    first_activity_id: int
    procedures: list[ProcedureSummary] = field(default_factory=list)
    activities: list[ActivitySummary] = field(default_factory=list)
    newest_procedures: list[ProcedureSummary] = field(default_factory=list)
    newest_activities: list[ActivitySummary] = field(default_factory=list)


class HistoryStore:
    """Writes to the history's tables, from one thread at a time. Errors are SQLAlchemy's."""

    def __init__(self, database: HistoryDatabase, damage: Damage) -> None:
        self._database = database
        self._damage = damage

    def free_ids(self) -> tuple[int, int]:
        """Find the first ids of procedures and activities that no run has used."""
        with self._database.reading() as connection:
            margin = UNHEARD if connection.scalar(_unended()) else 0
            return (
                _highest(connection, RUNS.c.last_procedure_id, PROCEDURES.c.id, margin) + 1,
                _highest(connection, RUNS.c.last_activity_id, ACTIVITIES.c.id, margin) + 1,
            )

    def recover(self, now: float, run: Run, newest: int = 0) -> Recovery:
        """Begin a run: what the one before had left alive is recorded FAILED: nobody watches it any more.

        At most `newest` of the procedures and activities that have ended are part of the result.
        """
        procedure_id, activity_id = self.free_ids()
        with self._database.writing() as connection:
            begun = {
                "epoch": run.epoch,
                "started": run.started,
                "host": run.host,
                "version": run.version,
                "last_procedure_id": procedure_id - 1,
                "last_activity_id": activity_id - 1,
            }
            _upsert(connection, RUNS, [begun])
            connection.execute(
                RUNS.update()
                .where(RUNS.c.epoch != run.epoch, RUNS.c.ended.is_(None))
                .values(ended=now, outcome="lost")
            )
            lost_procedures = _live(connection, PROCEDURES, _FINAL_PROCEDURES, run.epoch)
            procedures = list(self._lost(connection, PROCEDURES, lost_procedures, _lost_procedure, now))
            lost_activities = _live(connection, ACTIVITIES, _FINAL_ACTIVITIES, run.epoch)
            activities = list(self._lost(connection, ACTIVITIES, lost_activities, _lost_activity, now))
            return Recovery(
                procedure_id,
                activity_id,
                procedures,
                activities,
                list(_newest(connection, PROCEDURES, newest, ProcedureSummary.parse)),
                list(_newest(connection, ACTIVITIES, newest, ActivitySummary.parse)),
            )

    def _lost(
        self,
        connection: sa.Connection,
        table: sa.Table,
        rows: list[tuple[int, str]],
        lose: Callable[[dict[str, Any], float], Summary | None],
        now: float,
    ) -> Iterator[Summary]:
        """Record that what was live is FAILED; a damaged row stays as it is, and is live no more."""
        for number, text in rows:
            try:
                content = decoded(text)
                summary = lose(content, now)
            except (DamagedRow, KeyError, TypeError, AttributeError) as error:
                _log.error("%s", self._damage.note(table, number, error))
                _end(connection, table, number, now, state=ProcedureState.FAILED.value)
                continue
            _end(connection, table, number, now, state=content["state"], summary=json.dumps(content))
            if summary is not None:
                yield summary

    def write(self, epoch: str, rows: Rows) -> None:
        """Write rows, all or none; those that are there already are replaced."""
        with self._database.writing() as connection:
            _upsert(connection, REQUESTS, rows.requests)
            _upsert(connection, PROCEDURES, rows.procedures, keep={"epoch"})
            _upsert(connection, SUBARRAYS, rows.subarrays)
            _upsert(connection, ACTIVITIES, rows.activities, keep={"epoch"})
            _upsert(connection, EVENTS, rows.events)
            _upsert(connection, OUTPUT, rows.output)
            if rows.procedures or rows.activities:
                _mark(connection, epoch, rows)

    def write_what_can_be(self, epoch: str, rows: Rows) -> int:
        """Write each row for itself and return how many the database refuses; they are logged."""
        refused = 0
        for single in rows.single():
            try:
                self.write(epoch, single)
            except Exception as error:
                if is_of_the_store(error):
                    raise
                _log.exception("The history cannot keep %.500r", single)
                refused += 1
        return refused

    def end_run(self, epoch: str, now: float) -> None:
        """Note that a run has ended well, and that all of it is stored."""
        with self._database.writing() as connection:
            connection.execute(
                RUNS.update().where(RUNS.c.epoch == epoch).values(ended=now, outcome="stopped")
            )


def _unended() -> sa.Select[tuple[str]]:
    return sa.select(RUNS.c.epoch).where(RUNS.c.ended.is_(None)).limit(1)


def _highest(connection: sa.Connection, mark: sa.Column[int], number: sa.Column[int], margin: int) -> int:
    marked = connection.scalar(sa.select(sa.func.max(mark))) or 0
    given = max(marked, connection.scalar(sa.select(sa.func.max(number))) or 0)
    return given + margin if given else margin


def _mark(connection: sa.Connection, epoch: str, rows: Rows) -> None:
    """Keep the highest ids where pruning leaves them alone."""
    for column, given in (
        (RUNS.c.last_procedure_id, rows.procedures),
        (RUNS.c.last_activity_id, rows.activities),
    ):
        if given:
            highest = max(row["id"] for row in given)
            connection.execute(
                RUNS.update().where(RUNS.c.epoch == epoch, column < highest).values({column: highest})
            )


def _upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Row],
    keep: frozenset[str] | set[str] = frozenset(),
) -> None:
    """Insert rows; where one is there, replace its columns but those of `keep`."""
    if not rows:
        return
    remaining = iter(rows)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    values = {name: insert.excluded[name] for name in rows[0] if name not in {*keys, *keep}}
    statement = (
        insert.on_conflict_do_update(index_elements=keys, set_=values)
        if values
        else insert.on_conflict_do_nothing()
    )
    while chunk := list(islice(remaining, _CHUNK)):
        connection.execute(statement, chunk)


def _newest(
    connection: sa.Connection, table: sa.Table, count: int, parse: Callable[[str], Summary]
) -> Iterator[Summary]:
    query = sa.select(table.c.summary).where(table.c.ended.is_not(None)).order_by(table.c.id.desc())
    found: list[Summary] = []
    for text in connection.scalars(query.limit(count)):  # one at a time, as each may be large
        with suppress(InvalidArgument):  # written by another version
            found.append(parse(text))
    return reversed(found)


def _lost_procedure(content: dict[str, Any], now: float) -> ProcedureSummary | None:
    """Make a procedure FAILED; returns it unless another version of the OET wrote it."""
    message = f"the controller was lost while the procedure was {content['state']}"
    content["state"] = ProcedureState.FAILED.value
    content["history"]["process_states"].append([ProcedureState.FAILED.value, now])
    content["exit"] = ExitRecord(cause="controller lost", message=message).to_dict()
    return _parsed(ProcedureSummary.parse, content)


def _lost_activity(content: dict[str, Any], now: float) -> ActivitySummary | None:
    content["message"] = f"the controller was lost while the activity was {content['state']}"
    content["state"] = ActivityState.FAILED.value
    content["activity_states"].append([ActivityState.FAILED.value, now])
    return _parsed(ActivitySummary.parse, content)


def _parsed(parse: Callable[[dict[str, Any]], Summary], content: dict[str, Any]) -> Summary | None:
    try:
        return parse(content)
    except InvalidArgument as error:
        _log.warning("%s %s was lost and is not announced: %s", parse.__qualname__, content.get("id"), error)
        return None


def _live(connection: sa.Connection, table: sa.Table, final: list[str], epoch: str) -> list[tuple[int, str]]:
    query = sa.select(table.c.id, table.c.summary).where(table.c.state.not_in(final), table.c.epoch != epoch)
    return [(row.id, row.summary) for row in connection.execute(query.order_by(table.c.id))]


def _end(connection: sa.Connection, table: sa.Table, number: int, now: float, **values: Any) -> None:
    connection.execute(table.update().where(table.c.id == number).values(ended=now, **values))
