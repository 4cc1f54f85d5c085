"""ProcedureInterface is the part of the controller's Tango interface that runs and shows procedures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tango.server import attribute, command

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ID_DOC, LONG_STRING, ControllerInterface, json_attribute
from ska_oso_oet.device.requester import requester_of
from ska_oso_oet.errors import ProcedureNotFound
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.output import OutputQuery
from ska_oso_oet.ska.base_device import LongStringArray, allowed_when
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.changes import ProcedureChange


OWN: Final = -1
PROCEDURE_DOC: Final = "procedure id, 0 for the newest, -1 for the newest of who asks"


class ProcedureInterface(ControllerInterface):
    """Commands and attributes of procedures."""

    procedures = json_attribute("read_procedures", "Live procedures and the newest finished ones, as JSON")
    procedureChanged = json_attribute("read_procedure_changed", "The procedure that changed last, as JSON")
    runningProcedures = attribute(
        dtype=("DevLong64",), max_dim_x=256, fget="read_running_procedures", doc="Ids of running procedures"
    )

    def on_procedure_change(self, change: ProcedureChange, event: Event) -> None:
        """Push what an event changes, on the pump's thread (a listener of the bus)."""
        summary = change.summary
        head = f'"epoch": "{self.running_engine.journal.epoch}", "seq": {event.seq}'
        self._newest_procedure = f'{{{head}, "procedure": {summary.to_json()}}}'
        self.pump.push("procedureChanged", self._newest_procedure)
        self.pump.coalesce("procedures", self.read_procedures)
        if summary.state is ProcedureState.RUNNING or summary.state.final:
            self.pump.push("runningProcedures", self.read_running_procedures())

    def read_procedures(self) -> str:
        """Return what there is, with the number of the newest event that it contains."""
        seq, summaries = self.settled_engine.procedures.snapshot()
        listed = ", ".join(summary.to_json() for summary in summaries)
        return f'{{"epoch": "{self.running_engine.journal.epoch}", "seq": {seq}, "procedures": [{listed}]}}'

    def read_procedure_changed(self) -> str:
        """Return the newest change, {} before the first."""
        return self._newest_procedure

    _newest_procedure = "{}"

    def read_running_procedures(self) -> list[int]:
        """Return which procedures run."""
        _, summaries = self.running_engine.procedures.snapshot()
        return [summary.id for summary in summaries if summary.state is ProcedureState.RUNNING]

    is_CreateProcedure_allowed = allowed_when("CreateProcedure")
    is_StartProcedure_allowed = allowed_when("StartProcedure")

    @command(dtype_in=str, doc_in="JSON: script, script_args", dtype_out=LONG_STRING, doc_out=ID_DOC)
    def CreateProcedure(self, argin: str) -> LongStringArray:
        """Load a script in a process of its own and call its init; ends when it is READY, or failed."""
        return self.acting("CreateProcedure", PrepareProcessCommand, argin, self._create)

    def _create(self, request: PrepareProcessCommand) -> LongStringArray:
        service = self.running_engine.procedures
        prepare = partial(service.prepare, request, requester=requester_of(self))
        return self.book.run(self, "CreateProcedure", prepare, on_abort=service.abandon)

    @command(dtype_in=str, doc_in="JSON: procedure_id, script_args", dtype_out=LONG_STRING, doc_out=ID_DOC)
    def StartProcedure(self, argin: str) -> LongStringArray:
        """Call the main of a READY procedure; ends when it has ended."""
        return self.acting("StartProcedure", StartProcessCommand, argin, self._start)

    def _start(self, request: StartProcessCommand) -> LongStringArray:
        service = self.running_engine.procedures
        start = partial(service.start, request, requester=requester_of(self))
        return self.book.run(self, "StartProcedure", start, on_abort=service.abandon)

    @command(dtype_in=str, doc_in="JSON: procedure_id, run_abort", dtype_out=LONG_STRING, doc_out=ID_DOC)
    def StopProcedure(self, argin: str) -> LongStringArray:
        """Stop a procedure; ends when its process is gone and, if asked for, the abort script has ended."""
        return self.acting("StopProcedure", StopProcessCommand, argin, self._stop)

    def _stop(self, request: StopProcessCommand) -> LongStringArray:
        # One that joins another's stop is that command: however many ask, nobody is refused or waits longer.
        service, requester = self.running_engine.procedures, requester_of(self)
        joined = service.join_stop(request, requester)
        if joined is not None:
            return [ResultCode.STARTED], [joined]
        stop = partial(service.stop, request, requester=requester)
        return self.book.run(self, "StopProcedure", stop, urgent=True)

    @command(dtype_in="DevLong64", doc_in=PROCEDURE_DOC, dtype_out=str, doc_out="JSON")
    def DescribeProcedure(self, procedure_id: int) -> str:
        """Describe a procedure."""
        with as_dev_failed("DescribeProcedure"):
            service = self.settled_engine.procedures
            if procedure_id == OWN:
                return service.last_of(requester_of(self)).to_json()
            if not procedure_id:
                return service.newest().to_json()
            if found := service.summarise([procedure_id]):
                return found[0].to_json()
            return self.running_engine.history.describe_procedure(procedure_id)

    @command(dtype_in=str, doc_in="JSON: procedure_id, since", dtype_out=str, doc_out="JSON")
    def GetOutput(self, argin: str) -> str:
        """Return what a procedure has written."""
        with as_dev_failed("GetOutput"):
            query = self.parsed(OutputQuery.parse, argin)
            try:
                return self.running_engine.procedures.output(query.procedure_id, query.since)
            except ProcedureNotFound:
                if query.procedure_id is None:
                    raise
                return self.running_engine.history.output(query.procedure_id, query.since)
