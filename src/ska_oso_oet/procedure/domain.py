"""A procedure goes through states, in one order; this module has them, and how a procedure is described.

Nothing here knows of processes, Tango or time: states and moments are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from ska_oso_oet.errors import Rejected
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.arguments import CallArgs, ProcedureInput
from ska_oso_oet.procedure.bounds import Name, Stacktrace, Words, shown_args, shown_script
from ska_oso_oet.source.loader import ModuleFactory
from ska_oso_oet.source.script import (
    AnyScript,
    EmbeddedStringScript,
    ExecutableScript,
    FileSystemScript,
    GitArgs,
    GitScript,
    presentable,
)

__all__ = [
    "MAX_STATES",
    "NEXT",
    "CallArgs",
    "EmbeddedStringScript",
    "ExecutableScript",
    "ExitRecord",
    "FileSystemScript",
    "GitArgs",
    "GitScript",
    "ModuleFactory",
    "Procedure",
    "ProcedureHistory",
    "ProcedureInput",
    "ProcedureState",
    "ProcedureSummary",
    "Progress",
    "user_of",
]


class ProcedureState(StrEnum):
    """Where a procedure stands; a string, so that it is itself in JSON."""

    CREATING = "CREATING"
    IDLE = "IDLE"
    PREP_ENV = "PREP_ENV"
    LOADING = "LOADING"
    INITIALISING = "INITIALISING"
    READY = "READY"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def final(self) -> bool:
        """True when the process is gone and nothing follows."""
        return not NEXT[self]

    @property
    def before_ready(self) -> bool:
        """True while the script is being prepared."""
        return self not in {_S.READY, _S.RUNNING} and not self.final


_S = ProcedureState
_ENDS: Final = frozenset({_S.FAILED, _S.STOPPED})
NEXT: Final[dict[ProcedureState, frozenset[ProcedureState]]] = {
    _S.CREATING: _ENDS | {_S.IDLE},
    _S.IDLE: _ENDS | {_S.PREP_ENV, _S.LOADING, _S.INITIALISING},
    _S.PREP_ENV: _ENDS | {_S.IDLE},
    _S.LOADING: _ENDS | {_S.IDLE},
    _S.INITIALISING: _ENDS | {_S.READY},
    _S.READY: _ENDS | {_S.RUNNING},
    _S.RUNNING: _ENDS | {_S.COMPLETE},
    _S.COMPLETE: frozenset(),
    _S.FAILED: frozenset(),
    _S.STOPPED: frozenset(),
}


MAX_STATES: Final = 20
"""States that a procedure goes through at most, before its end: more than any way through the table needs."""


def user_of(requester: str | None) -> str | None:
    """Return the part of a requester, `user@host pid 42`, that all programs of that user share."""
    return requester and (requester.rpartition(" pid ")[0] or requester)


_STATE_OF_CAUSE: Final = {"returned": ProcedureState.COMPLETE, "stopped": ProcedureState.STOPPED}


class ExitRecord(Model):
    """How a procedure's process ended; `controller lost` when the controller died before it.

    `code` is the exit code, `signal` the number of the signal that killed it, `stopped_by` the rung of
    the stop ladder that worked. `message` is one line for an operator.
    """

    cause: Literal["returned", "raised", "exit_code", "signal", "stopped", "controller lost"]
    code: int | None = None
    signal: int | None = None
    stopped_by: Literal["SIGTERM", "SIGKILL"] | None = None
    message: Words | None = None

    @property
    def state(self) -> ProcedureState:
        """The final state of a procedure that has ended in this way."""
        return _STATE_OF_CAUSE.get(self.cause, ProcedureState.FAILED)


class ProcedureHistory(Model):
    """When each state was entered (seconds since the epoch), and the script's own traceback if it raised."""

    process_states: list[tuple[ProcedureState, float]]
    stacktrace: Stacktrace | None = None


MAX_DEVICES: Final = 100


def _is_unsaid(value: object) -> bool:
    return not value


class Progress(Model):
    """What a script reports of itself: 0 to 100, a few words, and the devices that it works with.

    `health_state` is about these devices; what a script does not report is left out of JSON.
    """

    percent: float = Field(ge=0, le=100)
    message: Words = ""
    devices: list[Name] = Field(default_factory=list, max_length=MAX_DEVICES, exclude_if=_is_unsaid)
    failed_devices: list[Name] = Field(default_factory=list, max_length=MAX_DEVICES, exclude_if=_is_unsaid)
    health_state: Literal["OK", "DEGRADED", "FAILED"] | None = Field(default=None, exclude_if=_is_unsaid)

    def about_devices(self) -> dict[str, Any]:
        """Return what is reported of devices, by name (JSON-ready)."""
        return self.model_dump(mode="json", exclude={"percent", "message"})


class ProcedureSummary(Model):
    """A procedure as it was at one moment: what attributes, events, REST and the CLI present.

    `subarray_ids` are all subarrays that its arguments name, `subarray_id` is the first of them. `requester`
    is who had it created, as far as that is known: `user@host pid 42`. `abort_of` is, of one that runs the
    abort script, the procedure that was stopped.
    What scripts and clients have put into it is bounded, also where it is read from a history that has more.
    """

    id: int
    command_id: str | None
    script: Annotated[AnyScript, AfterValidator(shown_script)]
    script_args: Annotated[CallArgs, AfterValidator(shown_args)]
    state: ProcedureState
    subarray_id: int | None
    subarray_ids: list[int] = Field(default_factory=list)
    progress: Progress | None
    history: ProcedureHistory
    exit: ExitRecord | None
    requester: str | None = None
    abort_of: int | None = None

    @property
    def created_at(self) -> float:
        """When the procedure was created, in seconds since the epoch."""
        return self.history.process_states[0][1]


@dataclass
class Procedure:
    """One procedure. It belongs to ScriptExecutionService, which alone changes it."""

    id: int
    script: AnyScript
    script_args: CallArgs
    created_at: float
    command_id: str | None = None
    requester: str | None = None
    abort_of: int | None = None
    state: ProcedureState = ProcedureState.CREATING
    stacktrace: str | None = None
    exit: ExitRecord | None = None
    progress: Progress | None = None
    found: bool = False
    states: list[tuple[ProcedureState, float]] = field(default_factory=list)
    _shown: tuple[CallArgs, CallArgs] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.states.append((self.state, self.created_at))

    @property
    def subarrays(self) -> list[int]:
        """Every subarray that is named among the arguments, each once: those of `init` first."""
        return self.script_args.subarrays

    @property
    def subarray_id(self) -> int | None:
        """The first subarray that the procedure is for; None when none is named."""
        return next(iter(self.subarrays), None)

    def for_subarray(self, subarray_id: int) -> None:
        """Note the subarray that `init` is called with, as nobody has named one."""
        self.script_args = self.script_args.for_subarray(subarray_id)

    def at_commit(self, commit: str) -> bool:
        """Note which commit a script from git was found to be, whatever branch or tag was asked for.

        It is found once, before any of the script's code is run; returns False when it is already known.
        """
        if self.found or not isinstance(self.script, GitScript):
            return False
        self.found = True
        git_args = self.script.git_args.model_copy(update={"git_commit": commit})
        self.script = self.script.model_copy(update={"git_args": git_args})
        return True

    def advance(self, state: ProcedureState, now: float) -> None:
        """Enter `state`; raises Rejected where the transition table has no such step."""
        if state not in NEXT[self.state] or (len(self.states) >= MAX_STATES and not state.final):
            raise Rejected(f"procedure {self.id} is {self.state} and cannot become {state}")
        self.state = state
        self.states.append((state, now))

    def _shown_args(self) -> CallArgs:
        # Measuring them takes long where they are large, and summaries are made at every change.
        if self._shown is None or self._shown[0] is not self.script_args:
            self._shown = self.script_args, shown_args(self.script_args)
        return self._shown[1]

    def summary(self) -> ProcedureSummary:
        """Describe the procedure as it is now."""
        return ProcedureSummary.model_construct(
            id=self.id,
            command_id=self.command_id,
            script=shown_script(presentable(self.script)),
            script_args=self._shown_args(),
            state=self.state,
            subarray_id=self.subarray_id,
            subarray_ids=self.subarrays,
            progress=self.progress,
            history=ProcedureHistory.model_construct(
                process_states=list(self.states), stacktrace=self.stacktrace
            ),
            exit=self.exit,
            requester=self.requester,
            abort_of=self.abort_of,
        )
