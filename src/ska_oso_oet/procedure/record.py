"""A record holds a procedure and what belongs to it while it is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.procedure.bounds import printable
from ska_oso_oet.procedure.changes import CommandOutcome, OutcomeKind
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState, Progress, user_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ska_oso_oet.procedure.aborts import AbortRun
    from ska_oso_oet.procedure.commands import StopProcessCommand
    from ska_oso_oet.procedure.domain import ExitRecord, Procedure

_RESULT_OF_STATE: Final[dict[ProcedureState, OutcomeKind]] = {
    ProcedureState.READY: "ok",
    ProcedureState.COMPLETE: "ok",
    ProcedureState.FAILED: "failed",
    ProcedureState.STOPPED: "aborted",
}
_GONE: Final = 50
"""Percent of a stop with an abort that are done with the end of the process."""


@dataclass(frozen=True, slots=True)
class StopRequest:
    """One wish that a procedure ends: by which command, if any, and whether the abort script follows.

    `why` is the reason of the stop; it becomes part of the message of the exit record.
    """

    command_id: str | None = None
    run_abort: bool = False
    why: str | None = None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """One wish that main is called: by which command, if any, and by whom.

    `before` are the arguments of main from before it, which count again if it is refused.
    """

    command_id: str | None = None
    requester: str | None = None
    before: ProcedureInput = field(default_factory=ProcedureInput)


@dataclass
class Record:
    """A procedure, and the commands that wait for it; `starter` is who has started it.

    A start that is `queued` is carried out as soon as the procedure is READY.
    """

    procedure: Procedure
    start_command: str | None = None
    starter: str | None = None
    queued: StartRequest | None = None
    stops: list[StopRequest] = field(default_factory=list)
    abort_of: AbortRun | None = None
    overdue: bool = False
    offered: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """True while the subarray is in use.

        That is while main runs, until an end that was asked for is confirmed, and as long as an abort lasts.
        """
        state = self.procedure.state
        in_use = state is ProcedureState.RUNNING or bool(self.stops) or self.abort_of is not None
        return in_use and not state.final

    @property
    def request_id(self) -> str | None:
        """The command on whose behalf the process does what it does."""
        return self.start_command or self.procedure.command_id

    @property
    def commands(self) -> set[str | None]:
        """The commands that the process is there for; a start that is queued is one of them."""
        return {self.request_id} | ({self.queued.command_id} if self.queued is not None else set())

    @property
    def can_queue(self) -> bool:
        """True while the procedure is being prepared, and nobody has asked for its start or its end."""
        before_ready = self.procedure.state.before_ready
        return before_ready and self.queued is None and not self.stops and self.abort_of is None

    @property
    def users(self) -> set[str | None]:
        """Who has created or started the procedure, where that is known."""
        return {user_of(self.procedure.requester), user_of(self.starter)}

    def stop_in_progress(self, *, run_abort: bool) -> str | None:
        """Name the command that is stopping the procedure, with or without an abort, if there is one."""
        if self.procedure.state.final:
            return None
        alike = (stop.command_id for stop in self.stops if stop.run_abort is run_abort)
        return next((command_id for command_id in alike if command_id is not None), None)

    def is_abort_due(self, *, run_abort: bool) -> bool:
        """Return whether the end of the service must wait for an abort: this one, or one that follows."""
        if self.procedure.state.final:
            return False
        asked_for = run_abort and self.procedure.state is ProcedureState.RUNNING
        return self.abort_of is not None or asked_for or any(stop.run_abort for stop in self.stops)

    def note_progress(self, data: Mapping[str, Any]) -> bool:
        """Note the progress that the script reports; returns False if the data has none."""
        try:
            about = {key: data[key] for key in ("devices", "failed_devices", "health_state") if data.get(key)}
            message = printable(str(data.get("message", "")))
            progress = Progress(percent=data["progress"], message=message, **about)
        except (KeyError, ValueError):
            return False
        self.procedure.progress = progress
        return True

    @property
    def waits_for_start(self) -> bool:
        """True while the procedure is READY, and nobody has asked for anything else."""
        return self.procedure.state is ProcedureState.READY and not self.stops and self.abort_of is None

    def end(self, exit_record: ExitRecord, stacktrace: str | None, mask: Callable[[str], str]) -> None:
        """Note how the process ended, and what it was stopped for; `mask` hides secrets of the service."""
        why = next((stop.why for stop in self.stops if stop.why), None)
        how = exit_record.message and mask(exit_record.message)
        message = "; ".join(filter(None, (why, how))) or None
        self.procedure.exit = exit_record.model_copy(update={"message": message})
        self.procedure.stacktrace = stacktrace and mask(stacktrace)

    def why_not_ready(self, which: str = "") -> str:
        """Return the reason why the procedure cannot be started; `which` names how it was found."""
        state = self.procedure.state
        if self.stops and not state.final:
            return f"procedure {self.procedure.id}{which} is being stopped"
        if self.queued is not None and not state.final:
            return f"procedure {self.procedure.id}{which} is going to be started once it is READY"
        why = self.procedure.exit.message if self.procedure.exit is not None else None
        return f"procedure {self.procedure.id}{which} is {state}, not READY" + (f": {why}" if why else "")

    def wants_abort(self, cmd: StopProcessCommand) -> bool:
        """Return whether the abort script follows a stop: as `cmd` asks for, or else if main was called."""
        called = self.procedure.state is ProcedureState.RUNNING and self.abort_of is None
        return called if cmd.run_abort is None else cmd.run_abort

    def content(self) -> dict[str, Any]:
        """Describe the procedure as it is now, for the result of a command (JSON-ready)."""
        content: dict[str, Any] = {"procedure_id": self.procedure.id, "state": self.procedure.state.value}
        if self.procedure.exit is not None and self.procedure.exit.message:
            content["message"] = self.procedure.exit.message
        if self.overdue:
            content["message"] = "not ended in time"
        return (
            content if self.procedure.progress is None else content | self.procedure.progress.about_devices()
        )

    def progress(self) -> dict[str, int]:
        """Return how far the commands are that go on, in percent.

        A start is as far as its script; a stop is half done when the process is gone and its abort goes on.
        """
        if self.procedure.state.final:
            return {stop.command_id: _GONE for stop in self.stops if stop.run_abort and stop.command_id}
        if self.start_command is None or self.procedure.progress is None:
            return {}
        return {self.start_command: int(self.procedure.progress.percent)}

    def outcomes(self) -> tuple[CommandOutcome, ...]:
        """List the commands that end with the state that the procedure has entered.

        Stops that the abort script is to follow end with that.
        """
        result = _RESULT_OF_STATE.get(self.procedure.state)
        if result is None:
            return ()
        content = self.content()
        outcomes = [CommandOutcome(self.request_id, result, content)] if self.request_id else []
        if self.procedure.state.final:
            if self.queued is not None and self.queued.command_id:
                outcomes.append(CommandOutcome(self.queued.command_id, result, content))
            stops = [stop for stop in self.stops if not stop.run_abort]
            outcomes += ends_of(stops, content)
            if self.abort_of is not None:
                outcomes += self.abort_of.outcomes()
        return tuple(outcomes)


def ends_of(stops: Iterable[StopRequest], content: dict[str, Any]) -> list[CommandOutcome]:
    """End stops: one has done what it was asked for once the process is gone, however that went."""
    return [CommandOutcome(stop.command_id, "ok", content) for stop in stops if stop.command_id]


def stopped_without_abort(record: Record, why: str) -> tuple[CommandOutcome, ...]:
    """End the stops of a procedure whose abort script cannot be run, with the reason."""
    stops = [stop for stop in record.stops if stop.run_abort]
    return tuple(ends_of(stops, {**record.content(), "abort": {"state": None, "message": f"not run: {why}"}}))
