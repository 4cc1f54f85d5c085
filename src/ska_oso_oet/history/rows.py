"""Announced changes become rows of the history's tables here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.source.environment import environment_id
from ska_oso_oet.source.script import EmbeddedStringScript, GitScript

if TYPE_CHECKING:
    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.source.script import AnyScript

Row = dict[str, Any]
_INT64: Final = 2**63


def procedure_row(summary: ProcedureSummary, epoch: str) -> Row:
    """Describe a procedure."""
    script = summary.script
    commit = script.git_args.git_commit if isinstance(script, GitScript) else None
    own_environment = isinstance(script, GitScript) and script.create_env and commit is not None
    return {
        "id": summary.id,
        "epoch": epoch,
        "command_id": summary.command_id,
        "state": summary.state.value,
        "script": storable(name_of(script)),
        "subarray_id": _int64(summary.subarray_id),
        "git_commit": commit and storable(commit),
        "environment": environment_id(commit) if own_environment and commit else None,
        "created": summary.created_at,
        "ended": summary.history.process_states[-1][1] if summary.state.final else None,
        "summary": summary.to_json(),
    }


def subarray_rows(summary: ProcedureSummary) -> list[Row]:
    """Describe the subarrays that a procedure is for."""
    numbers = {_int64(number) for number in summary.subarray_ids} - {None}
    return [{"subarray_id": number, "procedure_id": summary.id} for number in numbers]


def activity_row(summary: ActivitySummary, epoch: str) -> Row:
    """Describe an activity."""
    return {
        "id": summary.id,
        "epoch": epoch,
        "command_id": summary.command_id,
        "procedure_id": summary.procedure_id,
        "state": summary.state.value,
        "activity_name": storable(summary.activity_name),
        "sbd_id": storable(summary.sbd_id),
        "created": summary.created_at,
        "ended": summary.activity_states[-1][1] if summary.state.final else None,
        "summary": summary.to_json(),
    }


def event_row(event: Event, epoch: str) -> Row | None:
    """Describe an event of a procedure's or an activity's life; None for one that names neither."""
    content = json.loads(event.json)
    data = content["data"]
    if event.topic.startswith("procedure."):
        owner, number = "procedure_id", event.procedure_id
    else:
        owner, number = "activity_id", data.get("result", {}).get("id")
    if number is None:
        return None
    request_id = content["request_id"]
    return {
        "epoch": epoch,
        "seq": event.seq,
        "time": content["time"],
        "topic": event.topic,
        "request_id": None if request_id is None else storable(str(request_id)),
        "procedure_id": None,
        "activity_id": None,
        "state": data.get("new_state"),
        owner: number,
    }


def name_of(script: AnyScript) -> str:
    """Name a script as it is searched for: its URI, or what its user calls it."""
    return script.script_name if isinstance(script, EmbeddedStringScript) else script.script_uri


def _int64(number: int | None) -> int | None:
    """Leave out a number that no column can hold; the summary has it."""
    return number if number is not None and -_INT64 <= number < _INT64 else None


def storable(text: str) -> str:
    """Replace what a database cannot store in a text: NUL, and what UTF-8 cannot encode."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
