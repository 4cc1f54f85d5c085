"""Pruning deletes from the history what has ended, by age and by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from ska_oso_oet.history.queries import Pruned, PruneQuery
from ska_oso_oet.history.tables import ACTIVITIES, EVENTS, OUTPUT, PROCEDURES, REQUESTS, SUBARRAYS

if TYPE_CHECKING:
    from ska_oso_oet.history.database import HistoryDatabase

_CHUNK: Final = 500


def prune(database: HistoryDatabase, query: PruneQuery, now: float) -> Pruned:
    """Delete what is old, a few hundred at a time so that nobody else waits long.

    Procedures go with their events and output, and requests that nothing names any more go as well.
    """
    procedures = _prune(database, PROCEDURES, EVENTS.c.procedure_id, query, now)
    activities = _prune(database, ACTIVITIES, EVENTS.c.activity_id, query, now)
    if procedures or activities:
        _prune_requests(database)
    return Pruned(procedures=procedures, activities=activities)


def _prune(
    database: HistoryDatabase, table: sa.Table, of_event: sa.Column[Any], query: PruneQuery, now: float
) -> int:
    conditions: list[sa.ColumnElement[bool]] = [table.c.ended.is_not(None)]
    if query.older_than is not None:
        conditions.append(table.c.ended < now - query.older_than)
    deleted = 0
    if query.keep:
        newest = sa.select(table.c.id).order_by(table.c.id.desc()).offset(query.keep - 1).limit(1)
        with database.writing() as connection:
            oldest_kept = connection.scalar(newest)
        if oldest_kept is None:
            return 0
        conditions.append(table.c.id < oldest_kept)
    chunk = sa.select(table.c.id).where(*conditions).order_by(table.c.id).limit(_CHUNK)
    while True:
        with database.writing() as connection:
            ids = connection.scalars(chunk).all()
            connection.execute(EVENTS.delete().where(of_event.in_(ids)))
            if table is PROCEDURES:
                for part in (OUTPUT, SUBARRAYS):
                    connection.execute(part.delete().where(part.c.procedure_id.in_(ids)))
            connection.execute(table.delete().where(table.c.id.in_(ids)))
        deleted += len(ids)
        if len(ids) < _CHUNK:
            return deleted


def _prune_requests(database: HistoryDatabase) -> None:
    """Delete the requests that were made before anything that is still there."""
    with database.writing() as connection:
        oldest = [
            connection.scalar(sa.select(sa.func.min(table.c.created))) for table in (PROCEDURES, ACTIVITIES)
        ]
        moments = [moment for moment in oldest if moment is not None]
        if moments:
            connection.execute(REQUESTS.delete().where(REQUESTS.c.time < min(moments) - 1))
