"""An activity is what a user asks to be done with a Scheduling Block, and how far that has come.

Nothing here knows of stores, threads or Tango; moments are arguments.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from ska_oso_oet.errors import Rejected
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.bounds import Name, Words, shown_args
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.subarrays import named_in, numbered

SB_JSON: Final = "sb_json"
SBI_ID: Final = "sbi_id"


class ActivityState(StrEnum):
    """Where an activity stands; a string, so that it is itself in JSON."""

    REQUESTED = "REQUESTED"
    PREPARED = "PREPARED"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def final(self) -> bool:
        """True when the activity has ended."""
        return not NEXT[self]


_S = ActivityState
_ENDS: Final = frozenset({_S.FAILED, _S.STOPPED})
NEXT: Final[dict[ActivityState, frozenset[ActivityState]]] = {
    _S.REQUESTED: _ENDS | {_S.PREPARED},
    _S.PREPARED: _ENDS | {_S.RUNNING},
    _S.RUNNING: _ENDS | {_S.COMPLETE},
    _S.COMPLETE: frozenset(),
    _S.FAILED: frozenset(),
    _S.STOPPED: frozenset(),
}

FOLLOWS: Final[dict[ProcedureState, ActivityState]] = {
    ProcedureState.READY: _S.PREPARED,
    ProcedureState.RUNNING: _S.RUNNING,
    ProcedureState.COMPLETE: _S.COMPLETE,
    ProcedureState.FAILED: _S.FAILED,
    ProcedureState.STOPPED: _S.STOPPED,
}
"""The state of an activity whose procedure is in this state; in any other it is REQUESTED still."""


def steps(state: ActivityState, to: ActivityState) -> tuple[ActivityState, ...]:
    """Find the states to enter, in order, to get from `state` to `to`; none when that is no way forward."""
    if to in NEXT[state]:
        return (to,)
    for between in NEXT[state] - _ENDS:
        if rest := steps(between, to):
            return (between, *rest)
    return ()


class KeywordArgs(Model):
    """Keyword arguments of one function. Positional ones are not accepted: the SBDefinition has these."""

    kwargs: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _no_positional(cls, data: Any) -> Any:
        if isinstance(data, dict) and "args" in data:
            if data["args"]:
                raise ValueError("only keyword arguments are accepted here")
            return {key: value for key, value in data.items() if key != "args"}
        return data

    @field_validator("kwargs")
    @classmethod
    def _finite(cls, kwargs: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json.dumps(kwargs, allow_nan=False)  # no JSON text has NaN or Infinity
        return kwargs


class ActivityArgs(Model):
    """Keyword arguments for the functions of an activity's script. `run` is accepted for `main`."""

    init: KeywordArgs = KeywordArgs()
    main: KeywordArgs = Field(default=KeywordArgs(), validation_alias=AliasChoices("main", "run"))

    @property
    def subarrays(self) -> list[int]:
        """Every subarray that is named here, each once."""
        return named_in(self.init.kwargs, self.main.kwargs)

    @field_validator("init", "main")
    @classmethod
    def _subarrays_are_numbers(cls, given: KeywordArgs) -> KeywordArgs:
        return KeywordArgs(kwargs=numbered(given.kwargs))

    @model_validator(mode="after")
    def _nothing_reserved(self) -> ActivityArgs:
        for name in (SB_JSON, SBI_ID):
            if name in self.main.kwargs:
                raise ValueError(f"main.kwargs.{name}: this argument is given by the OET itself")
        return self

    def over(self, given: CallArgs) -> CallArgs:
        """Combine with the arguments of an SBDefinition: its positional ones stay, these keywords win."""
        return CallArgs(
            init=ProcedureInput(*given.init.args, **(given.init.kwargs | self.init.kwargs)),
            main=ProcedureInput(*given.main.args, **(given.main.kwargs | self.main.kwargs)),
        )


class ActivityCommand(Model):
    """RunActivity: run the script that a Scheduling Block names for an activity.

    Without `sbd_version` the newest version is meant. With `prepare_only` the script is loaded and its
    `init` called; StartProcedure runs it. `create_env` is for scripts from git.
    """

    activity_name: StrictStr = Field(min_length=1)
    sbd_id: StrictStr = Field(min_length=1)
    sbd_version: StrictInt | None = Field(default=None, ge=1)
    prepare_only: StrictBool = False
    create_env: StrictBool = False
    script_args: ActivityArgs = ActivityArgs()


class ActivitySummary(Model):
    """An activity as it was at one moment: what attributes, events, REST and the CLI present.

    `message` is the reason why it failed, and is null otherwise. `requester` is who asked for it, as far as
    that is known: `user@host pid 42`.
    """

    id: int
    command_id: str | None
    procedure_id: int | None
    sbd_id: Name
    sbd_version: int | None
    sbi_id: Name | None
    activity_name: Name
    prepare_only: bool
    script_args: Annotated[CallArgs, AfterValidator(shown_args)]
    activity_states: list[tuple[ActivityState, float]]
    state: ActivityState
    message: Words | None = None
    requester: Name | None = None

    @property
    def pid(self) -> int | None:
        """The id of its procedure."""
        return self.procedure_id

    @property
    def request_done(self) -> bool:
        """True when what RunActivity asked for has happened, or will not happen any more."""
        return self.state.final or (self.prepare_only and self.state is not ActivityState.REQUESTED)

    @property
    def created_at(self) -> float:
        """When the activity was requested, in seconds since the epoch."""
        return self.activity_states[0][1]


@dataclass
class Activity:
    """One activity. Only one thread at a time may change it; others look at its summaries."""

    id: int
    command: ActivityCommand
    requested_at: float
    command_id: str | None = None
    requester: str | None = None
    script_args: CallArgs = field(default_factory=CallArgs)
    procedure_id: int | None = None
    sbd_version: int | None = None
    sbi_id: str | None = None
    state: ActivityState = ActivityState.REQUESTED
    message: str | None = None
    states: list[tuple[ActivityState, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.script_args = self.command.script_args.over(CallArgs())
        self.sbd_version = self.command.sbd_version
        self.states.append((self.state, self.requested_at))

    def advance(self, state: ActivityState, now: float) -> None:
        """Enter `state`; raises Rejected where the transition table has no such step."""
        if state not in NEXT[self.state]:
            raise Rejected(f"activity {self.id} is {self.state} and cannot become {state}")
        self.state = state
        self.states.append((state, now))

    def summary(self) -> ActivitySummary:
        """Describe the activity as it is now."""
        return ActivitySummary(
            id=self.id,
            command_id=self.command_id,
            procedure_id=self.procedure_id,
            sbd_id=self.command.sbd_id,
            sbd_version=self.sbd_version,
            sbi_id=self.sbi_id,
            activity_name=self.command.activity_name,
            prepare_only=self.command.prepare_only,
            script_args=self.script_args,
            activity_states=list(self.states),
            state=self.state,
            message=self.message,
            requester=self.requester,
        )
