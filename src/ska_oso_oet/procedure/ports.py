"""ScriptExecutionService gets the pool that it commands, and its rules, in these forms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.exclusivity import Exclusivity
from ska_oso_oet.procedure.secrecy import NONE, Secrets
from ska_oso_oet.procedure.subarrays import ALL, Subarrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ska_oso_oet.procedure.commands import PrepareProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureInput
    from ska_oso_oet.source.script import AnyScript


class Allowed(Model):
    """Which subarrays a script may command, and below which directories its file must be (None: any)."""

    subarrays: Subarrays = ALL
    script_roots: tuple[Path, ...] | None = None


EVERYTHING: Final = Allowed()


class WorkerPool(Protocol):
    """What the service needs of ScriptWorkerPool; each call returns at once and calls nothing back."""

    def create_worker(self, procedure_id: int, command: PrepareProcessCommand, allowed: Allowed) -> None:
        """Make the worker of a procedure, to whose script `allowed` applies."""

    def send_run(
        self, procedure_id: int, fn_name: str, run_args: ProcedureInput, offered: Iterable[str] = ()
    ) -> None:
        """Have it call a function; arguments that are `offered` are left out if it has no such parameters."""

    def stop_worker(self, procedure_id: int) -> None:
        """Stop it."""

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the engine's thread after `delay` seconds."""


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """The rules of ScriptExecutionService.

    `check_script` raises Rejected for a script that is not allowed; a file must be below one of
    `script_roots` still when it is opened. Only `subarrays` are commanded.
    `abort_script` is run for a subarray when a stop asks for it, and may take `abort_timeout` seconds. Of
    more than `max_ready` procedures that wait for their start, the oldest is ended. `secrets` are masked in
    what scripts write and raise.
    """

    check_script: Callable[[AnyScript], None] = lambda _: None
    exclusivity: Exclusivity = Exclusivity.SUBARRAY
    subarrays: Subarrays = ALL
    script_roots: tuple[Path, ...] | None = None
    list_length: int = 10
    max_ready: int = 50
    abort_script: AnyScript | None = None
    abort_timeout: float = 60.0
    secrets: Secrets = NONE
