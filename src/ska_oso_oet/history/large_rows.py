"""Rows of earlier versions may be larger than any is now: they are read like the others, in the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.procedure.bounds import MAX_SOURCE, MAX_STACKTRACE
from ska_oso_oet.procedure.domain import CallArgs, ProcedureHistory, ProcedureState, ProcedureSummary
from ska_oso_oet.source.script import AnyScript, EmbeddedStringScript, FileSystemScript, GitScript

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from ska_oso_oet.activity.domain import ActivitySummary

USUAL: Final = MAX_SOURCE + MAX_STACKTRACE
"""Characters up to which a summary is passed on as it is stored; a larger one is read, and cut."""
READ_IN_LISTS: Final = 1024 * 1024
"""Characters up to which a list reads a summary; of a larger one it shows what the columns have."""
COLUMNS: Final = ("id", "command_id", "state", "script", "subarray_id", "created", "ended")


def bounded(kind: type[ProcedureSummary | ActivitySummary], text: str | None) -> str | None:
    """Cut what a stored summary has too much of; one that cannot be read is returned as it is."""
    if text is None or len(text) <= USUAL:
        return text
    try:
        return kind.parse(text).to_json()
    except InvalidArgument:
        return text


def readable(table: sa.Table) -> sa.ColumnElement[str | None]:
    """Select the summary of a row, or null where it is too large to be read with many others."""
    too_large = sa.func.length(table.c.summary) > READ_IN_LISTS
    return sa.case((too_large, None), else_=table.c.summary).label("summary")


def summary_of(row: RowMapping) -> str:
    """Return the summary of a procedure in a list, as JSON."""
    return bounded(ProcedureSummary, row["summary"]) or _from_columns(row).to_json()


def _from_columns(row: RowMapping) -> ProcedureSummary:
    states = [(ProcedureState.CREATING, row["created"])]
    if row["ended"] is not None:
        states.append((ProcedureState(row["state"]), row["ended"]))
    note = f"the record has more than {READ_IN_LISTS} characters: describe the procedure to see more of it"
    return ProcedureSummary(
        id=row["id"],
        command_id=row["command_id"],
        script=_script(row["script"]),
        script_args=CallArgs(),
        state=ProcedureState(row["state"]),
        subarray_id=row["subarray_id"],
        progress=None,
        history=ProcedureHistory(process_states=states, stacktrace=note),
        exit=None,
    )


def _script(name: str) -> AnyScript:
    if name.startswith("file://"):
        return FileSystemScript(script_uri=name)
    if name.startswith("git://"):
        return GitScript(script_uri=name)
    return EmbeddedStringScript(script_source="", script_name=name)
