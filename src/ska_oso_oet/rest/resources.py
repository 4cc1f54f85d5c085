"""The JSON of responses of the HTTP API has procedures and activities as resources, and what comes with them.

Shapes are those of the reference documents ("Module View: REST API"): a resource has a `uri` and no id, and
the arguments of a script's `main` are called `run`.
"""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import ConfigDict, JsonValue

from ska_oso_oet.activity.domain import ActivityState, ActivitySummary
from ska_oso_oet.history.queries import Pruned
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import (
    CallArgs,
    ExitRecord,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    Progress,
)
from ska_oso_oet.source.script import AnyScript

_PROCEDURE: Final[dict[str, Any]] = {
    "script_args": {
        "init": {"args": [], "kwargs": {"subarray_id": 1}},
        "run": {"args": [], "kwargs": {}},
    },
    "script": {"script_type": "filesystem", "script_uri": "file:///path/to/observing_script.py"},
    "history": {
        "process_states": [["CREATING", 1601463545.7589678], ["READY", 1601463545.7748005]],
        "stacktrace": None,
    },
    "state": "READY",
    "uri": "http://localhost:5000/api/v1.0/procedures/2",
    "command_id": "1601463545.75_13994696925_CreateProcedure",
    "subarray_id": 1,
    "subarray_ids": [1],
    "progress": None,
    "exit": None,
    "requester": "alma@desk pid 4711",
}


class ScriptArgs(Model):
    """The arguments of a script's functions; `run` are those of `main`."""

    init: ProcedureInput
    run: ProcedureInput

    @classmethod
    def of(cls, args: CallArgs) -> ScriptArgs:
        """Name the arguments as resources do."""
        return cls(init=args.init, run=args.main)


class Procedure(Model):
    """A script that is or was in a process on the controller's machine.

    `subarray_ids` are all subarrays that its arguments name, `subarray_id` is the first of them;
    `requester` is who created it, null when unknown.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_PROCEDURE]})

    script_args: ScriptArgs
    script: AnyScript
    history: ProcedureHistory
    state: ProcedureState
    uri: str
    command_id: str | None
    subarray_id: int | None
    subarray_ids: list[int]
    progress: Progress | None
    exit: ExitRecord | None
    requester: str | None = None
    abort_of: int | None = None

    @classmethod
    def of(cls, summary: ProcedureSummary, uri: str) -> Self:
        """Present a procedure as the resource at `uri`."""
        same = {
            name: getattr(summary, name) for name in cls.model_fields if name not in {"script_args", "uri"}
        }
        # Validated where it came from the controller.
        return cls.model_construct(script_args=ScriptArgs.of(summary.script_args), uri=uri, **same)


class HistoryEntry(Procedure):
    """A procedure as the history lists it.

    `epoch` is the controller's run; `environment` is the Python environment that it ran in, null for the
    controller's own.
    """

    epoch: str
    environment: str | None


class HistoryList(Model):
    """The body of a page of the history, newest first; `total` counts what matches on all pages."""

    procedures: list[HistoryEntry]
    total: int


class PrunedHistory(Model):
    """The body of a response to a pruning: how many were deleted."""

    pruned: Pruned


class OneProcedure(Model):
    """The body of a response about one procedure."""

    procedure: Procedure


class AllProcedures(Model):
    """The body of a list of procedures, oldest first."""

    procedures: list[Procedure]


class Activity(Model):
    """An activity of a Scheduling Block."""

    uri: str
    activity_name: str
    sbd_id: str
    sbd_version: int | None = None
    sbi_id: str | None = None
    procedure_id: int | None
    prepare_only: bool
    script_args: ScriptArgs
    activity_states: list[tuple[ActivityState, float]]
    state: ActivityState
    command_id: str | None = None
    message: str | None = None
    requester: str | None = None

    @classmethod
    def of(cls, summary: ActivitySummary, uri: str) -> Activity:
        """Present an activity as the resource at `uri`."""
        same = {
            name: getattr(summary, name) for name in cls.model_fields if name not in {"script_args", "uri"}
        }
        # Validated where it came from the controller.
        return cls.model_construct(script_args=ScriptArgs.of(summary.script_args), uri=uri, **same)


class OneActivity(Model):
    """The body of a response about one activity."""

    activity: Activity


class AllActivities(Model):
    """The body of a list of activities, oldest first."""

    activities: list[Activity]


class AbortMessage(Model):
    """The body of a response to a stop."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"abort_message": "Successfully stopped script with ID 2"}]}
    )

    abort_message: str


class AbortOutcome(Model):
    """How the abort script ended; `state` is that of its procedure, null when it was not run.

    Of several subarrays this is the one that went worst, and `subarrays` has each.
    """

    subarray_id: int | None = None
    state: ProcedureState | None = None
    procedure_id: int | None = None
    message: str | None = None
    subarrays: list[AbortOutcome] | None = None


class StopResult(Model):
    """The result of the command StopProcedure; keys without a value are left out.

    `code` is the name of an SKA ResultCode. `state` and `message` are those of the procedure that was
    stopped; `abort` is there when that was asked for.
    """

    code: str
    procedure_id: int | None = None
    state: ProcedureState | None = None
    message: str | None = None
    abort: AbortOutcome | None = None


class StoppedProcedure(Model):
    """The body of a response to a stop for who prefers a representation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "procedure": {**_PROCEDURE, "state": "STOPPED"},
                    "result": {
                        "code": "OK",
                        "procedure_id": 2,
                        "state": "STOPPED",
                        "abort": {"state": "COMPLETE", "procedure_id": 3},
                    },
                }
            ]
        }
    )

    procedure: Procedure
    result: StopResult


class OutputLine(Model):
    """A line that a procedure has written; one of its log has a level."""

    line: int
    time: float
    stream: str
    text: str
    level: str | None = None


class Output(Model):
    """What a procedure has written; `dropped` lines are no longer kept."""

    procedure_id: int
    last_line: int
    dropped: int
    lines: list[OutputLine]


class BusEvent(Model):
    """An event of the bus; `time` is in seconds since 1970, `data` are the values of its topic.

    `procedure_id` is the procedure that it comes from or speaks of, whatever name `msg_src` is.
    """

    epoch: str
    seq: int
    time: float
    topic: str
    msg_src: JsonValue
    request_id: JsonValue
    procedure_id: int | None
    data: dict[str, JsonValue]


class SomeEvents(Model):
    """The body of a response with events; the journal holds the numbers `first_seq` to `last_seq`.

    `gap` is true when something between what was asked for and the first event is lost.
    """

    epoch: str
    first_seq: int
    last_seq: int
    gap: bool
    events: list[BusEvent]


class Failure(Model):
    """The body of every response that is an error."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": "404 Not Found",
                    "type": "ResourceNotFound",
                    "Message": "No information available for PID=4",
                }
            ]
        }
    )

    error: str
    type: str
    Message: str
