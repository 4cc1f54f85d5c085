"""OETController is the Tango device that has all procedures, activities and events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tango.server import command, device_property

from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
from ska_oso_oet.device.activity_interface import ActivityInterface
from ska_oso_oet.device.command_book import CommandBook
from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.event_interface import EventInterface
from ska_oso_oet.device.history_interface import HistoryInterface
from ska_oso_oet.device.oda_interface import OdaInterface
from ska_oso_oet.device.procedure_interface import ProcedureInterface
from ska_oso_oet.device.status_interface import StatusInterface
from ska_oso_oet.device.work_log import WorkLog
from ska_oso_oet.engine import Engine
from ska_oso_oet.errors import NotFound
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.history.queries import HistoryQuery, PruneQuery
from ska_oso_oet.oda.desk import SBDefinitionQuery, SBInstanceQuery, SBInstancesQuery
from ska_oso_oet.oda.sbdefinition import SBDefinition
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.output import OutputQuery
from ska_oso_oet.settings import ControllerSettings, default_history_url, property_name
from ska_oso_oet.ska.lrc_record import CommandLimits

if TYPE_CHECKING:
    from pydantic import BaseModel

_SCHEMAS: Final[dict[str, type[BaseModel]]] = {
    "CreateProcedure": PrepareProcessCommand,
    "StartProcedure": StartProcessCommand,
    "StopProcedure": StopProcessCommand,
    "RunActivity": ActivityCommand,
    "GetEvents": EventsQuery,
    "GetOutput": OutputQuery,
    "GetHistory": HistoryQuery,
    "PruneHistory": PruneQuery,
    "AddSBDefinition": SBDefinition,
    "GetSBDefinition": SBDefinitionQuery,
    "GetSBInstances": SBInstancesQuery,
    "GetSBInstance": SBInstanceQuery,
}
_NEWEST: Final = ("event", "procedureChanged", "activityChanged")


class OETController(
    ProcedureInterface, ActivityInterface, EventInterface, HistoryInterface, OdaInterface, StatusInterface
):
    """Runs observing scripts on demand and reports what happens to them."""

    LIMITS: ClassVar[CommandLimits] = CommandLimits(max_queued=32, max_executing=32)

    ScriptRoots = device_property(dtype=(str,), doc="Directories that file:// scripts may come from")
    GitRepositories = device_property(dtype=(str,), doc="URL prefixes of allowed git repositories")
    EmbeddedScripts = device_property(dtype=str, doc="refused or allowed: scripts in requests")
    AbortScript = device_property(dtype=str, doc="URI of the script that aborts a subarray after a stop")
    AbortTimeout = device_property(dtype=float, doc="Seconds that the abort script may take")
    Exclusivity = device_property(dtype=str, doc="subarray or global: what a running procedure holds")
    MaxReadyProcedures = device_property(
        dtype=int, doc="How many READY procedures may wait for their start; then the oldest is ended"
    )
    SubarrayCount = device_property(dtype=int, doc="How many subarrays the telescope has")
    Subarrays = device_property(
        dtype=str, doc="Those that may be commanded here: all, or such as 1,2 or 1-16"
    )
    ListLength = device_property(
        dtype=int, doc="How many procedures, and how many activities, stay in the list once they have ended"
    )
    HistoryLength = device_property(dtype=int, doc="Earlier name of ListLength, which wins over it")
    EventJournalLength = device_property(dtype=int, doc="How many events GetEvents can replay")
    ExitTimeout = device_property(
        dtype=float, doc="Seconds that a script's threads and exit functions may take after its end"
    )
    MaxRequestBytes = device_property(dtype=int, doc="Bytes of the largest request that is accepted")
    StopGracePeriod = device_property(dtype=float, doc="Seconds from SIGTERM to SIGKILL")
    AbortOnShutdown = device_property(
        dtype=bool, doc="Whether a planned end of the server, or Init, aborts the subarrays of what runs"
    )
    EnvironmentsDir = device_property(dtype=str, doc="Directory of clones and environments")
    MaxIdleEnvironments = device_property(dtype=int, doc="How many unused environments are kept")
    SecretVariables = device_property(
        dtype=(str,), doc="More environment variables that are kept from scripts; patterns such as *_TOKEN"
    )
    WorkerMemory = device_property(
        dtype=float, doc="MiB that a script may have beyond what a worker begins with"
    )
    WorkerProcesses = device_property(
        dtype=int, doc="Processes and threads of a script and all that it starts; needs WorkerCgroups"
    )
    WorkerCgroups = device_property(
        dtype=(str,), doc="Directories of cgroups in which the groups of scripts are made"
    )
    EnvironmentTimeout = device_property(dtype=float, doc="Seconds that building an environment may take")
    HistoryUrl = device_property(dtype=str, doc="Where the history is: sqlite:///… or postgresql://…")
    ScanIdFile = device_property(
        dtype=str, doc="The file that counts scan IDs; by default beside the history; see SKUID_URL"
    )
    OdaBackend = device_property(dtype=str, doc="filesystem or postgres: where Scheduling Blocks are")
    OdaDataDir = device_property(dtype=str, doc="Directory of the Scheduling Blocks of the file system")
    OdaUrl = device_property(dtype=str, doc="URL of the Scheduling Blocks' PostgreSQL database")

    MonitoredDevices = device_property(dtype=(str,), doc="Names of devices whose health is aggregated")
    CriticalComponents = device_property(dtype=(str,), doc="Parts without which the health is FAILED")

    # ------------------------------------------------------------ lifecycle

    def create_component(self) -> None:
        """Start the engine; a bad property is a FAULT that names it."""
        self.engine = self._settings = None
        self._newest_event = self._newest_procedure = self._newest_activity = "{}"
        self._silence_watched = False
        # Each change is pushed, even if its text is that of the change before.
        self.declare_events("procedures", "activities", *_NEWEST, repeats=True)
        self.declare_events("lastEventSeq", "runningProcedures")
        self.book = CommandBook()
        properties = self._properties()
        settings = ControllerSettings.load(properties)
        self.use_settings(settings, properties)
        self.max_request_bytes = settings.max_request_bytes
        url = settings.history_url or default_history_url(self.get_name())
        engine = Engine(settings, self.pump.call, self.pump, self._announce, url)
        self._work_log = WorkLog()
        engine.bus.follow(ProcedureChange, self._work_log.on_procedure)
        engine.bus.follow(ActivitySummary, self._work_log.on_activity)
        engine.bus.subscribe(self.on_event)
        engine.bus.follow(ProcedureChange, self.on_procedure_change)
        engine.bus.follow(ProcedureChange, self.book.on_change)
        engine.start()
        self.engine = engine
        engine.announce_recovery()

    def delete_component(self) -> None:
        """Stop what runs, and the engine."""
        if self.engine is not None:
            self.engine.stop()

    def _announce(self, summary: ActivitySummary) -> None:
        self.pump.call(lambda: self.on_activity(summary))

    def _properties(self) -> dict[str, Any]:
        values = {field: getattr(self, property_name(field)) for field in ControllerSettings.model_fields}
        return {field: value for field, value in values.items() if value is not None and len(str(value)) > 0}

    # ------------------------------------------------------------ the rest of the interface

    @command(dtype_in=str, doc_in="name of a command", dtype_out=str, doc_out="JSON Schema")
    def GetCommandSchema(self, name: str) -> str:
        """Describe the argument of a command."""
        with as_dev_failed("GetCommandSchema"):
            if name not in _SCHEMAS:
                raise NotFound(f"{name!r} takes no JSON; these commands do: {', '.join(_SCHEMAS)}")
            return json.dumps(_SCHEMAS[name].model_json_schema())
