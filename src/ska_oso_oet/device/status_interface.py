"""StatusInterface shows the controller's health, its settings, and whether scripts can be started."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import tango
from tango.server import command

from ska_oso_oet.device.controller_health import NOT_INITIALISED, ControllerHealth
from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ACTING, ControllerInterface, json_attribute
from ska_oso_oet.device.status_report import versions, work
from ska_oso_oet.device.work_log import log_readiness, log_start
from ska_oso_oet.errors import NotReady
from ska_oso_oet.settings.effective import in_effect
from ska_oso_oet.ska.text import tango_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.settings import ControllerSettings
    from ska_oso_oet.ska.long_running_commands import RunningCommand


class StatusInterface(ControllerInterface):
    """Attributes and commands that report how the controller fares; they respond in every state."""

    healthInfo = json_attribute("read_health_info", "What is wrong, by device name, as JSON")
    whyNotReady = json_attribute(
        "read_why_not_ready", "Why no script can be started now; empty when they can"
    )

    _health: ControllerHealth | None = None
    _settings: ControllerSettings | None = None

    def start_reporting(self) -> None:
        """Begin to report the health, whatever becomes of the initialisation."""
        super().start_reporting()
        self.declare_events("healthInfo", "whyNotReady")
        self._health_info: dict[str, list[str]] = {self.get_name(): [NOT_INITIALISED]}
        self._health = health = ControllerHealth(self.get_name(), self._publish_health)
        health.start()

    def stop_reporting(self) -> None:
        """End it; returns when nothing more is reported."""
        health, self._health = self._health, None
        if health is not None:
            health.stop()
        super().stop_reporting()

    def start_communicating(self) -> None:
        """Begin to check the parts that the health is made of."""
        super().start_communicating()
        if self._health is not None and self._settings is not None:
            critical, monitored = self._settings.critical_components, self._settings.monitored_devices
            self._health.watch(self.running_engine, self.pump, critical, monitored)

    def stop_communicating(self) -> None:
        """Check the parts no longer."""
        if self._health is not None:
            self._health.rest()
        super().stop_communicating()

    def reset(self, command: RunningCommand) -> None:
        """End a fault, and note what became of the history's file."""
        if self.engine is not None:
            self.engine.history.acknowledge()
        super().reset(command)

    def command_allowed(self, name: str) -> bool:
        """Allow what acts while the device is ON; the refusal has a reason, which that of Tango has not."""
        allowed = super().command_allowed(name)
        why = self.read_why_not_ready()
        if not allowed and name in ACTING and why:
            tango.Except.throw_exception("API_CommandNotAllowed", f"{name} is not allowed: {why}", name)
        return allowed

    def follow_state(self) -> None:
        """Let the health, and with it whyNotReady, follow the state."""
        health = self._health
        if health is not None:
            health.follow(self.model.state, self.model.fault, self.model.admin_mode)

    @command(dtype_out=str, doc_out="JSON: state, health, versions, subarrays, …")
    def GetStatus(self) -> str:
        """Return how the controller fares and what it does, in every state."""
        health = self._health
        reason = NOT_INITIALISED if health is None else health.why_not_ready
        return json.dumps(
            {
                "device": self.get_name(),
                "state": self.model.state,
                "status": self.model.status,
                "admin_mode": self.model.admin_mode.name,
                "ready": not reason,
                "why_not_ready": reason or None,
                "health_state": self.model.health.name,
                "health_info": {name: told for name, told in self._health_info.items() if told},
                "versions": versions(),
                **work(self.engine),
                "devices": {} if health is None else health.devices(),
            }
        )

    @command(dtype_out=str, doc_out="JSON: settings, warnings")
    def GetSettings(self) -> str:
        """Return the settings in effect, where each comes from, and what was set in vain."""
        with as_dev_failed("GetSettings"):
            if self._settings is None:
                raise NotReady(f"the settings cannot be used: {self.model.status}")
            return json.dumps(in_effect(self._settings, self._given, self._environ, self.get_name()))

    def use_settings(self, settings: ControllerSettings, properties: Mapping[str, Any]) -> None:
        """Note the settings in effect; `properties` are those that are set for the device."""
        self._settings, self._given, self._environ = settings, dict(properties), dict(os.environ)
        told = in_effect(settings, properties, self._environ, self.get_name())
        log_start(self.get_name(), versions(), told["settings"])
        for warning in told["warnings"]:
            self.logger.warning("%s", warning)

    def _publish_health(self, attribute: str, value: Any) -> None:
        if attribute == "healthState":
            self.set_health(value)
        elif attribute == "healthInfo":
            self._health_info = {self.get_name(): [], **value}
            self.pump.put("healthInfo", self.read_health_info())
        else:
            log_readiness(value)
            self.pump.put(attribute, tango_text(value))

    def read_health_info(self) -> str:
        """Return what is wrong, this device first."""
        return json.dumps(self._health_info)

    def read_why_not_ready(self) -> str:
        """Return why no script can be started now."""
        health = self._health
        return tango_text(NOT_INITIALISED if health is None else health.why_not_ready)
