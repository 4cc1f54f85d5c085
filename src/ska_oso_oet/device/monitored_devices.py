"""MonitoredDevices follows the health of other devices by their change events."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import tango

from ska_oso_oet.health import Component
from ska_oso_oet.ska.control_model import AdminMode, HealthState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ska_oso_oet.health import ComponentSnapshot, HealthSupervisor

ATTRIBUTES: Final = ("healthState", "state", "adminMode", "healthInfo")
ASKED: Final = ("healthState", "state", "adminMode")
RETRY_SECS: Final = 5.0
_ABSENT: Final = frozenset(
    {"API_AttrNotFound", "API_AttributePollingNotStarted", "API_EventPropertiesNotSet"}
)
"""Reasons of an attribute that a device does not have, or sends no events of."""
_log = logging.getLogger(__name__)


_SILENT: Final = "does not answer"


def is_silent(device: ComponentSnapshot) -> bool:
    """Return whether the newest message about a device is that it does not answer."""
    return (device.message or "").startswith(_SILENT)


class MonitoredDevices:
    """Subscribes to devices and reports their events to a supervisor; survives their restarts.

    A device that cannot be subscribed to yet, as it is not registered or has never run, is tried again each
    RETRY_SECS, and so is one that does not reply: no event shows reliably that it is back.
    """

    def __init__(self, names: Sequence[str], supervisor: HealthSupervisor) -> None:
        self._supervisor = supervisor
        self._wake = threading.Condition()
        self._stopping = False
        self._silent: set[str] = set()
        self._unsubscribed = list(names)
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self._subscriptions: list[tuple[tango.DeviceProxy, int]] = []
        self._thread: threading.Thread | None = None
        for name in names:
            supervisor.expect(Component(name))

    def start(self) -> None:
        """Begin to follow the devices."""
        if self._unsubscribed:
            self._thread = threading.Thread(target=self._run, name="monitored-devices", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End every subscription and the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            self._unsubscribed = [name for name in self._unsubscribed if not self._subscribe(name)]
            while self._wait():
                self._unsubscribed = [name for name in self._unsubscribed if not self._subscribe(name)]
                for name in self._now_silent():
                    self._ask(name)
            for proxy, number in self._subscriptions:
                try:
                    proxy.unsubscribe_event(number)
                except tango.DevFailed:
                    _log.debug("a subscription to %s had ended already", proxy.dev_name())

    def _wait(self) -> bool:
        """Wait until something is due: at once when a device falls silent, then after each pause."""
        with self._wake:
            if not self._unsubscribed and not self._silent:
                self._wake.wait_for(lambda: self._stopping or self._silent)
            self._wake.wait_for(lambda: self._stopping, RETRY_SECS)
            return not self._stopping

    def _now_silent(self) -> list[str]:
        with self._wake:
            return sorted(self._silent & self._proxies.keys())

    def _ask(self, name: str) -> None:
        """Read the attributes of a silent device; its events may leave out what has not changed."""
        try:
            proxy = self._proxies[name]
            found = {attribute: proxy.read_attribute(attribute).value for attribute in ASKED}
        except tango.DevFailed as error:
            if error.args[0].reason not in _ABSENT:
                return
            found = {"healthState": HealthState.OK}
        with self._wake:
            self._silent.discard(name)
        for attribute, value in found.items():
            self._supervisor.on_subsystem_event(Component(name), **_report(attribute, value))

    def _subscribe(self, name: str) -> bool:
        try:
            proxy = self._proxies[name] = tango.DeviceProxy(name)
            for attribute in ATTRIBUTES:
                number = proxy.subscribe_event(
                    attribute,
                    tango.EventType.CHANGE_EVENT,
                    partial(self._on_event, name, attribute),
                    tango.EventSubMode.AsyncRead,
                )
                self._subscriptions.append((proxy, number))
        except tango.DevFailed as error:
            self._unreachable(name, error.args[0].desc)
            return False
        return True

    def _on_event(self, name: str, attribute: str, event: tango.EventData) -> None:
        if event.err:
            if event.errors[0].reason not in _ABSENT:
                self._unreachable(name, event.errors[0].desc)
            return
        value = event.attr_value.value
        if attribute == "healthInfo":
            self._supervisor.update_subsystems_healthinfo(name, value)
        else:
            self._supervisor.on_subsystem_event(Component(name), **_report(attribute, value))

    def _unreachable(self, name: str, why: str) -> None:
        with self._wake:
            self._silent.add(name)
            self._wake.notify()
        first_line = why.strip().splitlines()[0] if why.strip() else "no reason given"
        self._supervisor.on_subsystem_event(
            Component(name),
            health=HealthState.FAILED,
            state="UNKNOWN",
            message=f"{_SILENT}: {first_line}",
        )
        self._supervisor.update_subsystems_healthinfo(name, None)


def _report(attribute: str, value: Any) -> dict[str, Any]:
    if attribute == "healthState":
        return {"health": HealthState(value)}
    if attribute == "adminMode":
        return {"admin_mode": AdminMode(value)}
    return {"state": str(value)}
