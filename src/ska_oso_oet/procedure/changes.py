"""Changes are what ScriptExecutionService reports of procedures, beside the events that everyone sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.procedure.domain import ProcedureSummary

OutcomeKind = Literal["ok", "failed", "aborted"]


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """The end of a command that acted on a procedure: its result, and what it reports (JSON-ready)."""

    command_id: str
    result: OutcomeKind
    content: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScriptEvent:
    """The subject of an event that a script published: by which procedure, and with which arguments."""

    procedure_id: int
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProcedureChange:
    """The subject of an event that speaks of a change of a procedure.

    `outcomes` are the commands that end with it; `progress` is how far others are, in percent by command id.
    `event` is what the script published, where that made the change.
    """

    summary: ProcedureSummary
    outcomes: tuple[CommandOutcome, ...] = ()
    progress: Mapping[str, int] = field(default_factory=dict)
    event: ScriptEvent | None = None
