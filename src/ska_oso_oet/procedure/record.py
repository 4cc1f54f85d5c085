"""A procedure with what belongs to it while it is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.procedure.changes import CommandOutcome, Result
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.output import OutputBuffer

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import Procedure

_RESULT_OF_STATE: Final[dict[ProcedureState, Result]] = {
    ProcedureState.READY: "ok",
    ProcedureState.COMPLETE: "ok",
    ProcedureState.FAILED: "failed",
    ProcedureState.STOPPED: "aborted",
}


@dataclass
class Record:
    """A procedure, its output, and the commands that wait for it."""

    procedure: Procedure
    output: OutputBuffer = field(default_factory=OutputBuffer)
    start_command: str | None = None
    stop_commands: list[str | None] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """True while the subarray is taken: main runs, or the end that was asked for is not confirmed yet."""
        state = self.procedure.state
        return not state.final and (state is ProcedureState.RUNNING or bool(self.stop_commands))

    @property
    def request_id(self) -> str | None:
        """The command on whose behalf the process does what it does."""
        return self.start_command or self.procedure.command_id

    def why_not_ready(self) -> str:
        """Say why the procedure cannot be started."""
        state = self.procedure.state
        if self.stop_commands and not state.final:
            return f"procedure {self.procedure.id} is being stopped"
        return f"procedure {self.procedure.id} is {state}, not READY"

    def outcomes(self) -> tuple[CommandOutcome, ...]:
        """List the commands that end with the state that the procedure has entered."""
        procedure = self.procedure
        result = _RESULT_OF_STATE.get(procedure.state)
        if result is None:
            return ()
        content: dict[str, Any] = {"procedure_id": procedure.id, "state": procedure.state.value}
        if procedure.exit is not None and procedure.exit.message:
            content["message"] = procedure.exit.message
        outcomes = [CommandOutcome(self.request_id, result, content)] if self.request_id else []
        if procedure.state.final:
            # A stop has done what it was asked for once the process is gone, however it went.
            outcomes += [CommandOutcome(command, "ok", content) for command in self.stop_commands if command]
        return tuple(outcomes)
