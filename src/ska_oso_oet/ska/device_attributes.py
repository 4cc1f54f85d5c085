"""DeviceAttributes reads and writes the attributes of an SKA device, without Tango."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

from ska_oso_oet.ska.control_model import AdminMode, CommunicationStatus, HealthState, LoggingLevel
from ska_oso_oet.ska.device_hooks import DeviceHooks
from ska_oso_oet.ska.long_running_commands import PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.ska.logging_targets import LoggingTargets

__all__ = ["DeviceAttributes", "mode_access"]

PACKAGE = "ska-oso-oet"


def mode_access(name: str) -> dict[str, Any]:
    """Make the read and the write method of controlMode, simulationMode or testMode."""

    def read(device: DeviceHooks) -> int:
        return device.model.modes[name]

    def write(device: DeviceHooks, value: int) -> None:
        device.model.set_mode(name, type(device.model.modes[name])(value))

    return {"fget": read, "fset": write}


class DeviceAttributes(DeviceHooks):
    """Read and write methods; `attr` is the Tango attribute where one method serves several."""

    targets: LoggingTargets
    """Level and targets of the log."""

    def read_admin_mode(self) -> AdminMode:
        """Return who may use the device."""
        return self.model.admin_mode

    def write_admin_mode(self, mode: int) -> None:
        """Change who may use the device, and begin or end to use its component accordingly."""
        start = self.model.change_admin_mode(AdminMode(mode))
        if start:
            self.model.report_communication(CommunicationStatus.NOT_ESTABLISHED)
            try:
                self.start_communicating()
            except Exception as error:
                self.logger.exception("Communication could not be started")
                self.report_fault(f"communication could not be started: {error}")
        elif start is False:
            self.guarded(self.stop_communicating)
            self.model.disconnected()

    def read_health_state(self) -> HealthState:
        """Return whether the device can do its work."""
        return self.model.health

    def read_build_state(self) -> str:
        """Return the package, version and description of the software."""
        package = metadata.metadata(PACKAGE)
        return f"{PACKAGE.replace('-', '_')}, {package['Version']}, {package['Summary']}"

    def read_version_id(self) -> str:
        """Return the version of the software."""
        return metadata.version(PACKAGE)

    def read_logging_level(self) -> LoggingLevel:
        """Return how much is logged."""
        return self.targets.level

    def write_logging_level(self, level: int) -> None:
        """Change how much is logged."""
        self.targets.set_level(LoggingLevel(level))
        self.pump.put("loggingLevel", self.targets.level)

    def read_logging_targets(self) -> list[str]:
        """Return where the log goes."""
        return self.targets.targets

    def write_logging_targets(self, targets: list[str]) -> None:
        """Change where the log goes."""
        self.targets.set_targets(targets)
        self.pump.put("loggingTargets", self.targets.targets)

    def read_commanded_state(self) -> str:
        """Return the state last asked for."""
        return self.lrc.commanded_state

    def read_protocol_versions(self) -> tuple[int, int]:
        """Return the oldest and the newest LRC protocol."""
        return PROTOCOL_VERSIONS

    def read_lrc_event(self) -> list[str]:
        """Return nothing: this attribute only has events."""
        return []

    def read_commands(self, attr: Any) -> list[str]:
        """Return one of the lists of long running commands."""
        return self.lrc.read(attr.get_name())

    def push_initial_values(self) -> None:
        """Push what an initialisation has set back, apart from what the model reports."""
        for name in self.lrc.limits.sizes:
            self.pump.put(name, self.lrc.read(name))
        self.pump.put("commandedState", self.lrc.commanded_state)
        self.pump.put("loggingLevel", self.targets.level)
        self.pump.put("loggingTargets", self.targets.targets)

    def guarded(self, hook: Callable[[], None]) -> None:
        """Run a hook that ends something; if it raises, go on with the rest and log why."""
        try:
            hook()
        except Exception:
            self.logger.exception("%s failed", hook)
