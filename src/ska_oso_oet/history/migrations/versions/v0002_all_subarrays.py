"""A table of all subarrays that a procedure was for, where a column had the first of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0002"
down_revision = "0001"

_CHUNK: Final = 500
_INT64: Final = 2**63
_PROCEDURES: Final = sa.table(
    "oet_procedures", sa.column("id"), sa.column("subarray_id"), sa.column("summary")
)


def upgrade() -> None:
    """Make the table, and fill it from what is recorded of each procedure."""
    subarrays = op.create_table(
        "oet_procedure_subarrays",
        sa.Column("subarray_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("procedure_id", sa.BigInteger, primary_key=True, autoincrement=False),
    )
    op.create_index("ix_oet_procedure_subarrays_procedure", "oet_procedure_subarrays", ["procedure_id"])
    op.drop_index("ix_oet_procedures_subarray", "oet_procedures")
    connection = op.get_bind()
    for procedures in _chunks(connection):
        rows = [
            {"subarray_id": number, "procedure_id": procedure.id}
            for procedure in procedures
            for number in _subarrays_of(procedure)
        ]
        if rows:
            connection.execute(subarrays.insert(), rows)


def _chunks(connection: sa.Connection) -> Iterator[list[Any]]:
    """Read the procedures, some at a time: a summary may be large."""
    columns = _PROCEDURES.c
    query = sa.select(columns.id, columns.subarray_id, columns.summary).order_by(columns.id).limit(_CHUNK)
    last = -1
    while procedures := list(connection.execute(query.where(columns.id > last))):
        yield procedures
        last = procedures[-1].id


def _subarrays_of(procedure: Any) -> set[int]:
    """Return what its summary names; of one that is damaged, or older than the list, the column."""
    try:
        found = json.loads(procedure.summary).get("subarray_ids", [])
    except (ValueError, AttributeError):
        found = []
    numbers = [*(found if isinstance(found, list) else []), procedure.subarray_id]
    return {number for number in numbers if type(number) is int and -_INT64 <= number < _INT64}
