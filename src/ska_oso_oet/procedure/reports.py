"""Reports are what a ScriptWorker sends to the controller about the life of its script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, StrictInt, TypeAdapter, ValidationError

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model, explain
from ska_oso_oet.procedure.bounds import Stacktrace, Words
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Mapping


WorkerState = Literal[
    ProcedureState.IDLE,
    ProcedureState.PREP_ENV,
    ProcedureState.LOADING,
    ProcedureState.INITIALISING,
    ProcedureState.READY,
]
"""The states that a worker decides on."""


class StateEntered(Model):
    """The process has entered a state."""

    kind: Literal["state"] = "state"
    state: WorkerState


class Resolved(Model):
    """The commit of a script from git."""

    kind: Literal["resolved"] = "resolved"
    commit: Annotated[str, Field(max_length=64)]


class SubarrayGiven(Model):
    """The subarray that `init` will be called with, as it needs one and nobody has named any."""

    kind: Literal["subarray"] = "subarray"
    subarray_id: Annotated[StrictInt, Field(ge=1)]


class Returned(Model):
    """The script's `main` has returned; `interrupted` when it was asked to stop before."""

    kind: Literal["returned"] = "returned"
    interrupted: bool = False
    exit_code: ClassVar[int] = 0


class Raised(Model):
    """The script has raised.

    `message` is one line; `stacktrace` the script's own traceback; `interrupted` when it was asked to stop
    before.
    """

    kind: Literal["raised"] = "raised"
    message: Words
    stacktrace: Stacktrace | None = None
    interrupted: bool = False
    exit_code: ClassVar[int] = 1


class Left(Model):
    """The script has called sys.exit."""

    kind: Literal["left"] = "left"
    code: int
    message: Words
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of a process that ends so; the system keeps its last eight bits."""
        return self.code & 0xFF


class Overdue(Model):
    """What the script had left, such as a thread, did not end in time; `message` names it."""

    kind: Literal["overdue"] = "overdue"
    message: Words


Ending = Returned | Raised | Left
Report = StateEntered | Resolved | SubarrayGiven | Ending | Overdue

_REPORT: Final[TypeAdapter[Report]] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_report(content: Mapping[str, object]) -> Report:
    """Read a report that came through a pipe; raises InvalidArgument when it is none."""
    try:
        return _REPORT.validate_python(content)
    except ValidationError as error:
        raise InvalidArgument(explain(error)) from None
