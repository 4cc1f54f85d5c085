"""SKABaseDevice connects what every SKA device shows on Tango with the plain objects that decide it.

To a client it is a device built on ska-tango-base 1.3. It is made for software: its component is ON as
soon as it can be reached. `DeviceHooks` describes how a device of ours is made from it.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import tango
from tango.server import attribute, command, device_property

from ska_oso_oet.errors import Rejected
from ska_oso_oet.ska.attributes import MEMORIZED, mode, readable, writable
from ska_oso_oet.ska.control_model import (
    AdminMode,
    CommunicationStatus,
    ControlMode,
    HealthState,
    LoggingLevel,
    PowerState,
    ResultCode,
    SimulationMode,
    TestMode,
)
from ska_oso_oet.ska.debugger import DebuggerNotInstalled, start_debugger
from ska_oso_oet.ska.device_hooks import LongStringArray
from ska_oso_oet.ska.device_model import ALLOWED_STATES, DeviceModel, refusal_to_switch
from ska_oso_oet.ska.event_device import EventDevice
from ska_oso_oet.ska.event_pump import EventPump
from ska_oso_oet.ska.logging_targets import LoggingTargets, configure_stdout
from ska_oso_oet.ska.long_running_commands import LongRunningCommands
from ska_oso_oet.ska.lrc_record import CommandLimits
from ska_oso_oet.ska.subscribers import Subscribers, is_in_reference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LongStringArray", "SKABaseDevice", "allowed_when"]

_LONG_STRING: Any = "DevVarLongStringArray"
_ID = "STARTED and the command id, or REJECTED and the reason"
_EVENTED = (
    *("State", "Status", "adminMode", "healthState", "controlMode", "simulationMode", "testMode"),
    *("commandedState", "buildState", "versionId", "loggingLevel", "loggingTargets", "lrcProtocolVersions"),
)


def allowed_when(name: str) -> Callable[[Any], bool]:
    """Make the method is_<name>_allowed of a command, which asks `command_allowed`."""

    # A subclass overrides command_allowed: PyTango does not look for is_..._allowed in a subclass again.
    def is_allowed(device: SKABaseDevice) -> bool:
        device.dev_state()  # Tango names the state in its refusal as it finds it
        return device.command_allowed(name)

    is_allowed.__name__ = f"is_{name}_allowed"  # PyTango keeps it under its name
    return is_allowed


def own_reference() -> str:
    """Return the CORBA object reference of this server, which names the ports that take requests."""
    util = tango.Util.instance()
    return str(util.get_dserver_ior(util.get_dserver_device()))


def _takes_requests(port: int) -> bool:
    return is_in_reference(port, own_reference())


class SKABaseDevice(EventDevice):
    """An SKA device."""

    LIMITS: ClassVar[CommandLimits] = CommandLimits()
    """How many long running commands are taken at a time; a class of devices may have limits of its own."""

    SkaLevel = device_property(dtype="DevShort", default_value=4, doc="Importance, 1 (highest) to 6")
    GroupDefinitions = device_property(dtype=(str,), default_value=[], doc="JSON objects that define groups")
    LoggingLevelDefault = device_property(dtype="DevUShort", default_value=4, doc="Initial loggingLevel")
    LoggingTargetsDefault = device_property(
        dtype=(str,), default_value=["tango::logger"], doc="Initial loggingTargets"
    )

    adminMode = writable(AdminMode, "admin_mode", "Who may use the device", **MEMORIZED)
    healthState = readable(HealthState, "health_state", "Whether the device can do its work")
    controlMode = mode("controlMode", ControlMode, "From where commands are accepted")
    simulationMode = mode("simulationMode", SimulationMode, "Whether the component is simulated")
    testMode = mode("testMode", TestMode, "Whether the device is under test")
    buildState = readable(str, "build_state", "Package, version and description of the software")
    versionId = readable(str, "version_id", "Version of the software")
    loggingLevel = writable(LoggingLevel, "logging_level", "How much is logged")
    loggingTargets = writable((str,), "logging_targets", "Where the log goes, type::name", max_dim_x=4)
    commandedState = readable(str, "commanded_state", "The state last asked for: OFF, STANDBY or ON")
    lrcProtocolVersions = readable(("DevLong64",), "protocol_versions", "Oldest and newest", max_dim_x=2)
    _lrcEvent = readable((str,), "lrc_event", "Id of a command, and an update as JSON", max_dim_x=2)

    # ------------------------------------------------------------ lifecycle

    def __init__(self, *args: Any) -> None:
        self._alive = False
        self._lists_exist = False
        super().__init__(*args)
        self.add_version_info("ska_oso_oet", self.read_version_id())

    def init_device(self) -> None:
        """Start, or start again; a failure is the state FAULT and a sentence in Status."""
        while self._alive:
            self._shut_down()
        self._alive, self._has_component = True, False
        self.logger = logging.getLogger("ska_oso_oet")
        self.subscribers = Subscribers(_takes_requests)
        self.pump = EventPump(self.push_event, retry_on=tango.DevFailed, wrap=tango.EnsureOmniThread)
        self.lrc = LongRunningCommands(self.pump.put, limits=self.LIMITS, later=self.pump.call_later)
        self.model = DeviceModel(self.show_state, self.show_value)
        self.targets = LoggingTargets(self.logger, self.get_name(), self.get_logger())
        self.declare_events(*_EVENTED)
        # As in ska-tango-base: change events only, of changed values only.
        self.set_change_event("_lrcEvent", True, False)
        self.pump.push_changes_only("_lrcEvent")
        self.model.begin()
        self.pump.start()
        self.start_reporting()
        try:
            super().init_device()
            self._start_logging()
            self._has_component = True
            self.create_component()
        except Exception as error:
            self.logger.exception("init_device failed")
            self.model.failed(f"{type(error).__name__}: {error}")
        else:
            self.model.ready()
        if self._lists_exist:
            self.push_initial_values()

    def delete_device(self) -> None:
        """Stop every thread."""
        self._shut_down()
        super().delete_device()

    def initialize_dynamic_attributes(self) -> None:
        """Make the attributes whose sizes depend on `LIMITS`."""
        for name, size in self.LIMITS.sizes.items():
            self.add_attribute(attribute(name=name, dtype=(str,), max_dim_x=size, fget=self.read_commands))
            self.declare_events(name)
        self._lists_exist = True

    def _shut_down(self) -> None:
        if not self._alive:
            return
        self._alive = False
        reason = "The device is being initialised or has gone"
        self.lrc.refuse(reason)
        if self.model.close():
            self.guarded(self.stop_communicating)
        if self._has_component:
            self.guarded(self.delete_component)
        self.guarded(self.stop_reporting)
        pump, lrc, targets = self.pump, self.lrc, self.targets
        # Without the monitor of the device, for which the pump waits. Another Init may come in between.
        with tango.AutoTangoAllowThreads(self):
            pump.settle()  # commands that have ended are reported before the others are ended
            lrc.close(reason)
            targets.close()
            pump.stop()

    def _start_logging(self) -> None:
        configure_stdout(f"tango-device:{self.get_name()}")
        self.targets.set_level(LoggingLevel(self.LoggingLevelDefault))
        self.targets.set_targets(self.LoggingTargetsDefault)

    # ------------------------------------------------------------ commands

    is_On_allowed = allowed_when("On")
    is_Off_allowed = allowed_when("Off")
    is_Standby_allowed = allowed_when("Standby")
    is_Reset_allowed = allowed_when("Reset")

    def command_allowed(self, name: str) -> bool:
        """Whether On, Off, Standby or Reset is allowed now."""
        return self.dev_state().name in ALLOWED_STATES[name]

    @command(dtype_out=_LONG_STRING, doc_out=_ID)
    def On(self) -> LongStringArray:
        """Switch the component on."""
        return self._switch(PowerState.ON, "On")

    @command(dtype_out=_LONG_STRING, doc_out=_ID)
    def Off(self) -> LongStringArray:
        """Switch the component off."""
        return self._switch(PowerState.OFF, "Off")

    @command(dtype_out=_LONG_STRING, doc_out=_ID)
    def Standby(self) -> LongStringArray:
        """Put the component on standby."""
        return self._switch(PowerState.STANDBY, "Standby")

    @command(dtype_out=_LONG_STRING, doc_out=_ID)
    def Reset(self) -> LongStringArray:
        """Cure a fault without a change of power."""
        self._require_communication()
        state = self.dev_state().name
        return self.long_running("Reset", self.reset, commanded="ON" if state == "FAULT" else state)

    def _switch(self, power: PowerState, name: str) -> LongStringArray:
        self._require_communication()
        refusal = refusal_to_switch(power.name, self.dev_state().name)
        if refusal is not None:
            return [ResultCode.REJECTED], [refusal]
        return self.long_running(name, partial(self.switch_power, power), commanded=power.name)

    def _require_communication(self) -> None:
        if self.model.communication is not CommunicationStatus.ESTABLISHED:
            raise ConnectionError("Communication with component is not established")

    @command(dtype_out=_LONG_STRING, doc_out=_ID)
    def Abort(self) -> LongStringArray:
        """Ask every long running command to stop; it ends when all have ended."""
        try:
            return [ResultCode.STARTED], [self.lrc.abort()]
        except Rejected as error:
            return [ResultCode.REJECTED], [str(error)]

    @command(dtype_out=_LONG_STRING, doc_out="STARTED and a text")
    def AbortCommands(self) -> LongStringArray:
        """Do what Abort does, but untracked (deprecated)."""
        self.lrc.abort_all()
        return [ResultCode.STARTED], ["Aborting commands"]

    @command(dtype_in=str, doc_in="command id", dtype_out=str, doc_out="name of its TaskStatus")
    def CheckLongRunningCommandStatus(self, command_id: str) -> str:
        """Return where a command stands; NOT_FOUND if it is not known (any more)."""
        return self.lrc.outcome(command_id).status.name

    @command(dtype_in=str, doc_in="command id", dtype_out=str, doc_out="JSON: status, result, progress")
    def GetCommandResult(self, command_id: str) -> str:
        """Return how a command has ended, also when it has left lrcFinished; its status is as above."""
        return self.lrc.outcome(command_id).to_json()

    @command(dtype_out=(str,), doc_out="class and buildState")
    def GetVersionInfo(self) -> list[str]:
        """Return the version of the software."""
        return [f"{type(self).__name__}, {self.read_build_state()}"]

    @command(dtype_out="DevUShort", doc_out="The TCP port the debugger is listening on.")
    def DebugDevice(self) -> int:
        """Let a debugger attach."""
        try:
            return start_debugger()
        except DebuggerNotInstalled as error:
            tango.Except.throw_exception(error.code, str(error), "DebugDevice")
            raise
