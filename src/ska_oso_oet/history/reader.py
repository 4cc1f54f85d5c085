"""HistoryReader reads the history, from any thread."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ska_oso_oet.activity.domain import ActivitySummary
from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.history.damage import DamagedRow, decoded
from ska_oso_oet.history.large_rows import COLUMNS, bounded, readable, summary_of
from ska_oso_oet.history.rows import storable
from ska_oso_oet.history.tables import ACTIVITIES, OUTPUT, PROCEDURES, REQUESTS, SUBARRAYS
from ska_oso_oet.procedure.domain import ProcedureSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.history.damage import Damage
    from ska_oso_oet.history.database import HistoryDatabase
    from ska_oso_oet.history.queries import HistoryQuery

T = TypeVar("T")


ASK_SECS: Final = 2.0
"""For which who asks may be kept waiting: a Tango device that waits for 3.2 s is of no use to anyone else."""


class HistoryReader:
    """Reads from the database, as JSON; raises HistoryUnavailable when it does not reply in time."""

    def __init__(self, database: HistoryDatabase, damage: Damage) -> None:
        self._database = database
        self._damage = damage
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="history-reader")

    def close(self) -> None:
        """End the threads, and the queries to which a database that hangs does not reply."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._database.abandon()
        self._pool.shutdown()

    def procedure(self, number: int) -> str | None:
        """Return a ProcedureSummary, None where the history has no such procedure."""
        return self._summary(ProcedureSummary, PROCEDURES, number)

    def activity(self, number: int) -> str | None:
        """Return an ActivitySummary, None where the history has no such activity."""
        return self._summary(ActivitySummary, ACTIVITIES, number)

    def _summary(
        self, kind: type[ProcedureSummary | ActivitySummary], table: sa.Table, number: int
    ) -> str | None:
        query = sa.select(table.c.summary).where(table.c.id == number)
        found = self._ask(lambda connection: connection.scalar(query))
        return bounded(kind, self._sound(table, number, found))

    def output(self, number: int, since: int) -> str | None:
        """Return what GetOutput does, with the newest lines; None for a procedure that wrote nothing."""
        query = sa.select(OUTPUT.c.last_line, OUTPUT.c.lines).where(OUTPUT.c.procedure_id == number)
        row = self._ask(lambda connection: connection.execute(query).first())
        if row is None:
            return None
        lines = decoded(self._sound(OUTPUT, number, f'{{"lines": {row.lines}}}') or "{}")
        return output_json(number, since, row.last_line, lines["lines"])

    def list(self, query: HistoryQuery) -> str:
        """Return a HistoryPage."""
        where = _conditions(query)
        matching = (
            sa.select(
                readable(PROCEDURES),
                *(PROCEDURES.c[name] for name in COLUMNS),
                PROCEDURES.c.epoch,
                PROCEDURES.c.environment,
                REQUESTS.c.requester,
            )
            .select_from(PROCEDURES.outerjoin(REQUESTS, PROCEDURES.c.command_id == REQUESTS.c.command_id))
            .where(*where)
            .order_by(PROCEDURES.c.id.desc())
            .limit(query.limit)
            .offset((query.page - 1) * query.limit)
        )
        count = sa.select(sa.func.count()).select_from(PROCEDURES).where(*where)
        rows, total = self._ask(
            lambda connection: (connection.execute(matching).mappings().all(), connection.scalar(count))
        )
        entries = [_entry(row) for row in rows if self._is_sound(PROCEDURES, row["id"], row["summary"])]
        return f'{{"procedures": [{", ".join(entries)}], "total": {total}}}'

    def _sound(self, table: sa.Table, number: int, text: str | None) -> str | None:
        """Return a JSON object as it was read; raises HistoryUnavailable for a damaged one."""
        if not self._is_sound(table, number, text):
            raise HistoryUnavailable(str(self._damage.health()))
        return text

    def _is_sound(self, table: sa.Table, number: int, text: str | None) -> bool:
        try:
            decoded("{}" if text is None else text)
        except DamagedRow as error:
            self._damage.note(table, number, error)
            return False
        return True

    def _ask(self, read: Callable[[sa.Connection], T]) -> T:
        asked = self._pool.submit(self._run, read)
        try:
            return asked.result(ASK_SECS)
        except TimeoutError:
            asked.cancel()
            raise HistoryUnavailable(
                f"the history {self._database.name} has not answered within {ASK_SECS:g} s"
            ) from None

    def _run(self, read: Callable[[sa.Connection], T]) -> T:
        try:
            with self._database.reading() as connection:
                return read(connection)
        except (SQLAlchemyError, OSError) as error:
            raise self._database.unavailable(error, "read") from None


def _conditions(query: HistoryQuery) -> list[sa.ColumnElement[bool]]:
    columns = PROCEDURES.c
    conditions: list[sa.ColumnElement[bool]] = []
    if query.state:
        conditions.append(columns.state.in_([state.value for state in query.state]))
    if query.since is not None:
        conditions.append(columns.created >= query.since)
    if query.script is not None:
        conditions.append(columns.script.icontains(storable(query.script), autoescape=True))
    if query.subarray_id is not None:
        of_subarray = sa.select(SUBARRAYS.c.procedure_id).where(SUBARRAYS.c.subarray_id == query.subarray_id)
        conditions.append(columns.id.in_(of_subarray))
    return conditions


def _entry(row: sa.RowMapping) -> str:
    """Add to a summary what is not part of it; one of an earlier version does not have its requester."""
    content = {**json.loads(summary_of(row)), "epoch": row["epoch"], "environment": row["environment"]}
    content["requester"] = content.get("requester") or row["requester"]
    return json.dumps(content)


def output_json(number: int, since: int, last_line: int, lines: list[dict[str, Any]]) -> str:
    """Make the JSON of GetOutput; `dropped` counts the lines after `since` that are not kept."""
    kept = [line for line in lines if line["line"] > since]
    first = kept[0]["line"] if kept else last_line + 1
    return json.dumps(
        {
            "procedure_id": number,
            "last_line": last_line,
            "dropped": max(0, first - since - 1),
            "lines": kept,
        }
    )
