"""OETController: the one door to procedures and events."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from tango import AttrWriteType, DevState
from tango.server import attribute, command, device_property

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.engine import Engine
from ska_oso_oet.device.outcomes import PendingCommands
from ska_oso_oet.errors import NotFound, NotReady
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.output import OutputQuery
from ska_oso_oet.settings import ControllerSettings, property_name
from ska_oso_oet.ska.base_device import LongStringArray, SKABaseDevice, allowed_when
from ska_oso_oet.ska.lrc_record import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event

M = TypeVar("M", bound=Model)
_LONG_STRING: Any = "DevVarLongStringArray"
_ID = "STARTED and the command id, or REJECTED and the reason"
_JSON_ATTRIBUTES = ("procedures", "procedureChanged", "event")
_SCHEMAS: dict[str, type[Model]] = {
    "CreateProcedure": PrepareProcessCommand,
    "StartProcedure": StartProcessCommand,
    "StopProcedure": StopProcessCommand,
    "GetEvents": EventsQuery,
    "GetOutput": OutputQuery,
}
_ACTING = ("CreateProcedure", "StartProcedure", "StopProcedure")


def _json_attribute(method: str, doc: str) -> attribute:
    return attribute(dtype=str, access=AttrWriteType.READ, fget=method, doc=doc)


class OETController(SKABaseDevice):
    """Runs observing scripts on demand and tells what happens to them."""

    LIMITS: ClassVar[Limits] = Limits(max_queued=32, max_executing=32)

    ScriptRoots = device_property(dtype=(str,), doc="Directories that file:// scripts may come from")
    GitRepositories = device_property(dtype=(str,), doc="URL prefixes of allowed git repositories")
    EmbeddedScripts = device_property(dtype=str, doc="refused or allowed: scripts in requests")
    AbortScript = device_property(dtype=str, doc="URI of the script that aborts a subarray after a stop")
    AbortTimeout = device_property(dtype=float, doc="Seconds that the abort script may take")
    Exclusivity = device_property(dtype=str, doc="subarray or global: what a running procedure holds")
    HistoryLength = device_property(dtype=int, doc="How many finished procedures are remembered")
    EventJournalLength = device_property(dtype=int, doc="How many events GetEvents can replay")
    StopGracePeriod = device_property(dtype=float, doc="Seconds from SIGTERM to SIGKILL")
    EnvironmentsDir = device_property(dtype=str, doc="Directory of clones and environments")
    MaxIdleEnvironments = device_property(dtype=int, doc="How many unused environments are kept")
    EnvironmentTimeout = device_property(dtype=float, doc="Seconds that building an environment may take")

    procedures = _json_attribute("read_procedures", "Live procedures and the newest finished ones, as JSON")
    procedureChanged = _json_attribute("read_procedure_changed", "The procedure that changed last, as JSON")
    event = _json_attribute("read_event", "The newest event of the bus, as JSON")
    healthInfo = _json_attribute("read_health_info", "What is wrong, by device name, as JSON")
    lastEventSeq = attribute(dtype="DevLong64", fget="read_last_event_seq", doc="Number of the newest event")
    runningProcedures = attribute(
        dtype=("DevLong64",), max_dim_x=256, fget="read_running_procedures", doc="Ids of running procedures"
    )

    # ------------------------------------------------------------ lifecycle

    def create_component(self) -> None:
        """Start the engine; a bad property is a FAULT that names it."""
        self._newest_event = self._newest_change = "{}"
        self.declare_events(*_JSON_ATTRIBUTES, detect=False)
        self.declare_events("lastEventSeq", "runningProcedures", "healthInfo")
        self.engine: Engine | None = None
        self._pending = PendingCommands()
        engine = Engine(ControllerSettings.load(self._properties()), self.pump.call, self.pump)
        engine.bus.subscribe(self._on_event)
        engine.bus.subscribe(self._pending.on_event)
        engine.start()
        self.engine = engine

    def delete_component(self) -> None:
        """Stop what runs, and the engine."""
        if self.engine is not None:
            self.engine.stop()

    def _properties(self) -> dict[str, Any]:
        values = {field: getattr(self, property_name(field)) for field in ControllerSettings.model_fields}
        return {field: value for field, value in values.items() if value is not None and len(str(value)) > 0}

    # ------------------------------------------------------------ events, on the pump's thread

    def _on_event(self, event: Event) -> None:
        self._newest_event = event.json
        self.pump.put("event", event.json)
        self.pump.coalesce("lastEventSeq", self.read_last_event_seq)
        if isinstance(event.subject, ProcedureChange):
            summary = event.subject.summary
            head = f'"epoch": "{self._engine.journal.epoch}", "seq": {event.seq}'
            self._newest_change = f'{{{head}, "procedure": {summary.to_json()}}}'
            self.pump.put("procedureChanged", self._newest_change)
            self.pump.coalesce("procedures", self.read_procedures)
            if summary.state is ProcedureState.RUNNING or summary.state.final:
                self.pump.put("runningProcedures", self.read_running_procedures())

    # ------------------------------------------------------------ attributes

    @property
    def _engine(self) -> Engine:
        if self.engine is None:
            raise NotReady("the controller has no engine: see Status")
        return self.engine

    def read_procedures(self) -> str:
        """Answer what there is, with the number of the newest event that it contains."""
        seq, summaries = self._engine.procedures.snapshot()
        listed = ", ".join(summary.to_json() for summary in summaries)
        return f'{{"epoch": "{self._engine.journal.epoch}", "seq": {seq}, "procedures": [{listed}]}}'

    def read_procedure_changed(self) -> str:
        """Answer the newest change, {} before the first."""
        return self._newest_change

    def read_event(self) -> str:
        """Answer the newest event, {} before the first."""
        return self._newest_event

    def read_health_info(self) -> str:
        """Answer what is wrong, this device first."""
        return json.dumps({self.get_name(): []})

    def read_last_event_seq(self) -> int:
        """Answer the number of the newest event, 0 before the first."""
        return self._engine.journal.last_seq

    def read_running_procedures(self) -> list[int]:
        """Answer which procedures run."""
        _, summaries = self._engine.procedures.snapshot()
        return [summary.id for summary in summaries if summary.state is ProcedureState.RUNNING]

    # ------------------------------------------------------------ commands that act

    is_CreateProcedure_allowed = allowed_when("CreateProcedure")
    is_StartProcedure_allowed = allowed_when("StartProcedure")
    is_StopProcedure_allowed = allowed_when("StopProcedure")

    def command_allowed(self, name: str) -> bool:
        """Allow what acts on procedures while the device is ON."""
        return self.get_state() is DevState.ON if name in _ACTING else super().command_allowed(name)

    @command(dtype_in=str, doc_in="JSON: script, script_args", dtype_out=_LONG_STRING, doc_out=_ID)
    def CreateProcedure(self, argin: str) -> LongStringArray:
        """Load a script in a process of its own and call its init; ends when it is READY, or failed."""
        service = self._engine.procedures
        return self._act("CreateProcedure", PrepareProcessCommand, argin, service.prepare, service.abandon)

    @command(dtype_in=str, doc_in="JSON: procedure_id, script_args", dtype_out=_LONG_STRING, doc_out=_ID)
    def StartProcedure(self, argin: str) -> LongStringArray:
        """Call the main of a READY procedure; ends when it has ended."""
        service = self._engine.procedures
        return self._act("StartProcedure", StartProcessCommand, argin, service.start, service.abandon)

    @command(dtype_in=str, doc_in="JSON: procedure_id, run_abort", dtype_out=_LONG_STRING, doc_out=_ID)
    def StopProcedure(self, argin: str) -> LongStringArray:
        """Stop a procedure; ends when its process is gone."""
        return self._act("StopProcedure", StopProcessCommand, argin, self._engine.procedures.stop)

    def _act(
        self,
        name: str,
        model: type[M],
        argin: str,
        request: Callable[[M, str], object],
        on_abort: Callable[[str], None] | None = None,
    ) -> LongStringArray:
        with as_dev_failed(name):
            parsed = model.parse(argin)
        return self._pending.carry_out(self, name, partial(request, parsed), on_abort)

    # ------------------------------------------------------------ commands that answer

    @command(dtype_in="DevLong64", doc_in="procedure id, 0 for the newest", dtype_out=str, doc_out="JSON")
    def DescribeProcedure(self, procedure_id: int) -> str:
        """Describe a procedure."""
        with as_dev_failed("DescribeProcedure"):
            service = self._engine.procedures
            found = service.summarise([procedure_id])[0] if procedure_id else service.newest()
            return found.to_json()

    @command(dtype_in=str, doc_in="JSON: since, epoch, limit, topics", dtype_out=str, doc_out="JSON")
    def GetEvents(self, argin: str) -> str:
        """Replay events."""
        with as_dev_failed("GetEvents"):
            return self._engine.journal.read(EventsQuery.parse(argin))

    @command(dtype_in=str, doc_in="JSON: procedure_id, since", dtype_out=str, doc_out="JSON")
    def GetOutput(self, argin: str) -> str:
        """Answer what a procedure has written."""
        with as_dev_failed("GetOutput"):
            query = OutputQuery.parse(argin)
            return self._engine.procedures.output(query.procedure_id, query.since)

    @command(dtype_in=str, doc_in="name of a command", dtype_out=str, doc_out="JSON Schema")
    def GetCommandSchema(self, name: str) -> str:
        """Describe the argument of a command."""
        with as_dev_failed("GetCommandSchema"):
            if name not in _SCHEMAS:
                raise NotFound(f"{name!r} takes no JSON; these commands do: {', '.join(_SCHEMAS)}")
            return json.dumps(_SCHEMAS[name].model_json_schema())
