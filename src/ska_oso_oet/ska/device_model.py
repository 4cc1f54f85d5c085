"""DeviceModel has the state of one SKA device: operational state, health, and its modes.

It decides; the Tango class that owns it shows. Every method may be called by any thread.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from ska_oso_oet.ska.control_model import (
    AdminMode,
    CommunicationStatus,
    ControlMode,
    HealthState,
    PowerState,
    SimulationMode,
    TestMode,
)
from ska_oso_oet.ska.state_machines import Action, AdminModeMachine, OpStateMachine
from ska_oso_oet.ska.text import tango_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum

__all__ = ["ALLOWED_STATES", "DeviceModel", "refusal_to_switch"]

_log = logging.getLogger(__name__)

_SWITCHABLE: Final = frozenset({"OFF", "STANDBY", "ON", "ALARM", "UNKNOWN"})
ALLOWED_STATES: Final = {
    "On": _SWITCHABLE,
    "Standby": _SWITCHABLE,
    "Off": _SWITCHABLE | {"FAULT"},
    "Reset": frozenset({"STANDBY", "ON", "ALARM", "FAULT"}),
}
"""The states in which a command is allowed."""

_IN_USE: Final = frozenset({AdminMode.ONLINE, AdminMode.ENGINEERING})
_COMMUNICATION: Final = {
    CommunicationStatus.DISABLED: Action.COMPONENT_DISCONNECTED,
    CommunicationStatus.NOT_ESTABLISHED: Action.COMPONENT_UNKNOWN,
    # Software has no power of its own: what can be reached is on.
    CommunicationStatus.ESTABLISHED: Action.COMPONENT_ON,
}
_POWER: Final = {
    PowerState.UNKNOWN: Action.COMPONENT_UNKNOWN,
    PowerState.NO_SUPPLY: Action.COMPONENT_OFF,
    PowerState.OFF: Action.COMPONENT_OFF,
    PowerState.STANDBY: Action.COMPONENT_STANDBY,
    PowerState.ON: Action.COMPONENT_ON,
}


def refusal_to_switch(target: str, state: str) -> str | None:
    """Return why a device in `state` need not go to `target` (ON, OFF or STANDBY), if so."""
    if target == state:
        return f"Device is already in {state} state."
    if target == "ON" and state == "ALARM":
        return "Device is in ALARM state, which is already a substate of ON."
    return None


class DeviceModel:
    """The state, the health and the modes of a device, from one initialisation to the next.

    `show(state, status)` is called for each change of the operational state, `emit(attribute, value)`
    for each change of another attribute. Both are called under the lock of this object, so that all
    see one order: they must only store their arguments.
    """

    def __init__(self, show: Callable[[str, str], None], emit: Callable[[str, object], None]) -> None:
        self._show = show
        self._emit = emit
        self._lock = threading.Lock()
        self._op_state = OpStateMachine()
        self._admin = AdminModeMachine()
        self._in_use = False
        self._closed = False
        self._failed = False
        self._fault = ""
        self._shown = ("INIT", "")
        self.communication = CommunicationStatus.DISABLED
        self.health = HealthState.UNKNOWN
        self.modes: dict[str, IntEnum] = {
            "controlMode": ControlMode.REMOTE,
            "simulationMode": SimulationMode.FALSE,
            "testMode": TestMode.NONE,
        }

    @property
    def state(self) -> str:
        """The name of the Tango state, alarms left out."""
        return self._shown[0]

    @property
    def status(self) -> str:
        """A sentence about the state, fit for a Tango string."""
        return self._shown[1]

    @property
    def fault(self) -> str:
        """Why the state is FAULT; empty in any other."""
        return self._fault if self.state == "FAULT" else ""

    @property
    def admin_mode(self) -> AdminMode:
        """Who may use the device."""
        return self._admin.mode

    # ------------------------------------------------------------ initialisation

    def begin(self) -> None:
        """Show INIT; report every attribute that returns to its initial value."""
        with self._lock:
            self._emit("adminMode", self._admin.mode)
            self._perform(Action.INIT_INVOKED)
            self._emit("healthState", self.health)
            for name, mode in self.modes.items():
                self._emit(name, mode)

    def ready(self) -> None:
        """Leave INIT."""
        with self._lock:
            self._perform(Action.INIT_COMPLETED)

    def failed(self, reason: str) -> None:
        """Leave INIT for FAULT, which only another initialisation ends."""
        with self._lock:
            self._failed = True
            self._fault = f"init_device failed: {reason}"
            self._perform(Action.INIT_FAILED)

    def close(self) -> bool:
        """Ignore every further report; return whether communication has to be stopped."""
        with self._lock:
            was_in_use, self._in_use, self._closed = self._in_use, False, True
            return was_in_use

    # ------------------------------------------------------------ modes

    def change_admin_mode(self, mode: AdminMode) -> bool | None:
        """Change the mode; return True to start communicating, False to stop, None for neither.

        Raises StateModelError if the way from the present mode is not allowed.
        """
        with self._lock:
            if self._closed:
                return None  # the initialisation that has begun ends with the memorised mode
            if self._admin.change(mode):
                self._emit("adminMode", mode)
            wanted = mode in _IN_USE and not self._failed
            if wanted == self._in_use:
                return None
            self._in_use = wanted
            return wanted

    def disconnected(self) -> None:
        """Show that communication has been stopped."""
        with self._lock:
            if not self._in_use:
                self._communicate(CommunicationStatus.DISABLED)

    def set_mode(self, name: str, mode: IntEnum) -> None:
        """Change controlMode, simulationMode or testMode."""
        with self._lock:
            self.modes[name] = mode
            self._emit(name, mode)

    def set_health(self, health: HealthState) -> None:
        """Report whether the device can do its work."""
        with self._lock:
            if health is not self.health:
                self.health = health
                self._emit("healthState", health)

    # ------------------------------------------------------------ reports, ignored unless in use

    def report_communication(self, status: CommunicationStatus) -> None:
        """Report whether the component can be reached."""
        with self._lock:
            if self._in_use:
                self._communicate(status)

    def report_power(self, power: PowerState) -> None:
        """Report what power the component has."""
        with self._lock:
            if self._in_use:
                self._perform(_POWER[power])

    def report_fault(self, message: str) -> None:
        """Report that the component cannot work, and why."""
        with self._lock:
            if not self._in_use:
                _log.warning("A fault was reported while the device is not in use: %s", message)
                return
            if self.communication is CommunicationStatus.DISABLED:
                self._communicate(CommunicationStatus.NOT_ESTABLISHED)
            self._fault = message
            self._perform(Action.COMPONENT_FAULT)

    def clear_fault(self) -> None:
        """Report that the component can work again."""
        with self._lock:
            if self._in_use:
                self._perform(Action.COMPONENT_NO_FAULT)

    # ------------------------------------------------------------ under the lock

    def _communicate(self, status: CommunicationStatus) -> None:
        self.communication = status
        self._perform(_COMMUNICATION[status])

    def _perform(self, action: Action) -> None:
        state = self._op_state.perform(action)
        detail = f" - {self._fault}" if state == "FAULT" and self._fault else ""
        shown = (state, tango_text(f"The device is in {state} state{detail}."))
        if shown != self._shown:
            self._shown = shown
            self._show(*shown)
