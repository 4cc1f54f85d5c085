"""The JSON of the HTTP API: procedures and activities as resources, and what requests may say.

Shapes are those of the reference documents ("Module View: REST API"): a resource has a `uri` and no id, and
the arguments of a script's `main` are called `run`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AliasChoices,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictStr,
    model_validator,
)

from ska_oso_oet.activity.domain import ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand
from ska_oso_oet.procedure.domain import (
    AnyScript,
    CallArgs,
    ExitRecord,
    GitArgs,
    ProcedureHistory,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
    Progress,
)

_CREATE: Final[dict[str, Any]] = {
    "script_uri": "file:///path/to/observing_script.py",
    "script_args": {
        "init": {"kwargs": {"subarray_id": 1, "sb_uri": "file:///path/to/scheduling_block_123.json"}}
    },
}
_CREATE_GIT: Final[dict[str, Any]] = {
    "script": {
        "script_type": "git",
        "script_uri": "git:///path/to/observing_script.py",
        "git_args": {"git_repo": "http://gitrepo.git", "git_branch": "test"},
    }
}
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
    "progress": None,
    "exit": None,
}
_RUN_ACTIVITY: Final[dict[str, Any]] = {
    "activity_name": "allocate",
    "sbd_id": "sbd-123",
    "prepare_only": False,
    "script_args": {"init": {"kwargs": {"foo": "bar"}}},
}


# -------------------------------------------------------------------- what is answered


class ScriptArgs(Model):
    """The arguments of a script's functions; `run` are those of `main`."""

    init: ProcedureInput
    run: ProcedureInput

    @classmethod
    def of(cls, args: CallArgs) -> ScriptArgs:
        """Name the arguments as resources do."""
        return cls(init=args.init, run=args.main)


class Procedure(Model):
    """A script that is or was in a process on the controller's machine."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROCEDURE]})

    script_args: ScriptArgs
    script: AnyScript
    history: ProcedureHistory
    state: ProcedureState
    uri: str
    command_id: str | None
    subarray_id: int | None
    progress: Progress | None
    exit: ExitRecord | None

    @classmethod
    def of(cls, summary: ProcedureSummary, uri: str) -> Procedure:
        """Present a procedure as the resource at `uri`."""
        same = {
            name: getattr(summary, name) for name in cls.model_fields if name not in {"script_args", "uri"}
        }
        return cls(script_args=ScriptArgs.of(summary.script_args), uri=uri, **same)


class OneProcedure(Model):
    """The body of an answer about one procedure."""

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

    @classmethod
    def of(cls, summary: ActivitySummary, uri: str) -> Activity:
        """Present an activity as the resource at `uri`."""
        same = {
            name: getattr(summary, name) for name in cls.model_fields if name not in {"script_args", "uri"}
        }
        return cls(script_args=ScriptArgs.of(summary.script_args), uri=uri, **same)


class OneActivity(Model):
    """The body of an answer about one activity."""

    activity: Activity


class AllActivities(Model):
    """The body of a list of activities, oldest first."""

    activities: list[Activity]


class AbortMessage(Model):
    """The body of an answer to a stop."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"abort_message": "Successfully stopped script with ID 2"}]}
    )

    abort_message: str


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


class Failure(Model):
    """The body of every answer that is an error."""

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


# -------------------------------------------------------------------- what is asked for


class NewProcedure(Model):
    """A script to load: as `script`, or by its `script_uri` alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CREATE, _CREATE_GIT]})

    script: AnyScript | None = None
    script_uri: StrictStr | None = None
    git_args: GitArgs | None = None
    create_env: StrictBool | None = None
    script_args: CallArgs = CallArgs()

    @model_validator(mode="after")
    def _one_script(self) -> NewProcedure:
        if (self.script is None) == (self.script_uri is None):
            raise ValueError("either script or script_uri is expected")
        if self.script is not None and (self.git_args is not None or self.create_env is not None):
            raise ValueError("git_args and create_env are part of script")
        return self

    def command(self) -> PrepareProcessCommand:
        """Make the command; raises InvalidArgument for a script that is none."""
        if self.script is not None:
            return PrepareProcessCommand(script=self.script, script_args=self.script_args)
        of_git = (self.script_uri or "").startswith("git://")
        given = {"git_args": self.git_args, "create_env": self.create_env}
        script = {
            "script_type": "git" if of_git else "filesystem",
            "script_uri": self.script_uri,
            **{name: value for name, value in given.items() if value is not None},
        }
        return PrepareProcessCommand.parse({"script": script, "script_args": self.script_args})


class UpdatedArgs(Model):
    """The arguments that `main` gets. Those of `init` may be there, and change nothing any more."""

    init: JsonValue = None
    run: Annotated[ProcedureInput | None, Field(validation_alias=AliasChoices("run", "main"))] = None


class ProcedureUpdate(Model):
    """The state that a procedure is to have: RUNNING or STOPPED.

    A whole procedure may be sent; what of it cannot be changed is ignored. With `abort`, a stop is
    followed by the abort script for the procedure's subarray.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"script_args": {"run": {"kwargs": {"scan_duration": 14.0}}}, "state": "RUNNING"},
                {"abort": True, "state": "STOPPED"},
            ]
        }
    )

    state: Literal["RUNNING", "STOPPED"]
    script_args: UpdatedArgs = UpdatedArgs()
    abort: StrictBool = False
    script: JsonValue = None
    history: JsonValue = None
    uri: JsonValue = None
    command_id: JsonValue = None
    subarray_id: JsonValue = None
    progress: JsonValue = None
    exit: JsonValue = None

    def start(self, procedure_id: int) -> StartProcessCommand:
        """Make the command that starts the procedure."""
        run = self.script_args.run
        args = {} if run is None else {"main": run}
        return StartProcessCommand.parse({"procedure_id": procedure_id, "script_args": args})


class NewActivity(ActivityCommand):
    """The activity of a Scheduling Block to run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN_ACTIVITY]})
