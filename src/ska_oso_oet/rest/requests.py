"""Bodies and queries of requests to the HTTP API become commands of the controller here."""

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

from ska_oso_oet.activity.domain import ActivityCommand
from ska_oso_oet.event.journal import MAX_LIMIT, EventsQuery
from ska_oso_oet.history.queries import MAX_LIMIT as MAX_ON_PAGE
from ska_oso_oet.history.queries import HistoryQuery
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import AnyScript, GitArgs

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
_RUN_ACTIVITY: Final[dict[str, Any]] = {
    "activity_name": "allocate",
    "sbd_id": "sbd-123",
    "prepare_only": False,
    "script_args": {"init": {"kwargs": {"foo": "bar"}}},
}


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
            return PrepareProcessCommand.parse({"script": self.script, "script_args": self.script_args})
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
    followed by the abort script for each of the procedure's subarrays; null means that it is if main has been
    called. With `force_start` a start may come before the procedure is READY, and waits for that.
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
    abort: StrictBool | None = None
    force_start: StrictBool = True
    script: JsonValue = None
    history: JsonValue = None
    uri: JsonValue = None
    command_id: JsonValue = None
    subarray_id: JsonValue = None
    subarray_ids: JsonValue = None
    requester: JsonValue = None
    abort_of: JsonValue = None
    progress: JsonValue = None
    exit: JsonValue = None

    def start(self, procedure_id: int) -> StartProcessCommand:
        """Make the command that starts the procedure."""
        run = self.script_args.run
        args = {} if run is None else {"main": run}
        given = {"procedure_id": procedure_id, "script_args": args, "force_start": self.force_start}
        return StartProcessCommand.parse(given)


class NewActivity(ActivityCommand):
    """The activity of a Scheduling Block to run."""

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN_ACTIVITY]})


class HistoryParameters(Model):
    """The query of a request for the history, as text has it; `state` may be repeated."""

    state: list[ProcedureState] = Field(default_factory=list)
    since: Annotated[float, Field(allow_inf_nan=False)] | None = None
    script: str | None = None
    subarray_id: int | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_ON_PAGE)] = 50
    page: Annotated[int, Field(ge=1)] = 1

    def query(self) -> HistoryQuery:
        """Make the argument of the command; raises InvalidArgument for numbers that are too large."""
        return HistoryQuery.parse(self.model_dump())


class EventsParameters(Model):
    """The query of a request for events, as text has it; `topic` may be repeated."""

    since: Annotated[int, Field(ge=0, lt=2**63)] = 0
    epoch: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 1000
    topic: list[str] = Field(default_factory=list)
    procedure_id: Annotated[int, Field(ge=1)] | None = None

    def query(self) -> EventsQuery:
        """Make the argument of the command."""
        given = self.model_dump()
        return EventsQuery.parse({"topics": given.pop("topic"), **given})
