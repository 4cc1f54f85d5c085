"""The procedure side of activities, as tests want it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ska_oso_oet.activity.domain import SBI_ID
from ska_oso_oet.procedure.domain import Procedure, ProcedureState, ProcedureSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand


class FakeProcedures:
    """Says yes to everything, unless a refusal is set, and remembers what it was asked.

    With `report`, procedures go their way at once: it is called from a thread of its own, and so before
    `prepare` has returned.
    """

    def __init__(self, first_id: int) -> None:
        self.asked: list[object] = []
        self.requesters: list[str | None] = []
        self.refuse_prepare: Exception | None = None
        self.refuse_start: Exception | None = None
        self.created: list[Procedure] = []
        self.report: Callable[[ProcedureSummary], None] | None = None
        self._first_id = first_id

    def __getitem__(self, procedure_id: int | None) -> Procedure:
        return self.created[(procedure_id or 0) - self._first_id]

    def prepare(
        self,
        command: PrepareProcessCommand,
        command_id: str | None,
        requester: str | None,
        /,
        *,
        offered: Sequence[str],
    ) -> ProcedureSummary:
        assert offered == (SBI_ID,)
        self.asked.append(command)
        self.requesters.append(requester)
        if self.refuse_prepare:
            raise self.refuse_prepare
        number = self._first_id + len(self.created)
        procedure = Procedure(number, command.script, command.script_args, 0.0, command_id)
        self.created.append(procedure)
        before = procedure.summary()
        self._become(procedure, ProcedureState.IDLE, ProcedureState.READY)
        return before

    def start(self, command: StartProcessCommand, command_id: str | None, /) -> object:
        self.asked.append(command)
        procedure = self[command.procedure_id]
        assert command_id == procedure.command_id
        if self.refuse_start:
            raise self.refuse_start
        self._become(procedure, ProcedureState.RUNNING, ProcedureState.COMPLETE)
        return None

    def stop(self, command: StopProcessCommand, /) -> object:
        self.asked.append(command)
        self._become(self[command.procedure_id], ProcedureState.STOPPED)
        return None

    def _become(self, procedure: Procedure, *states: ProcedureState) -> None:
        report = self.report
        if report is None:
            return

        def go() -> None:
            for state in states:
                procedure.state = state
                report(procedure.summary())

        thread = threading.Thread(target=go)
        thread.start()
        thread.join()
