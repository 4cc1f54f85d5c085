"""The operational state and the administrative mode of an SKA device follow these rules.

Both follow the SKA control model as ska-tango-base 1.3 presents it. A component may also be reported
faulty while its power is OFF or UNKNOWN: a server that cannot open its port is faulty before it is on.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from ska_oso_oet.ska.control_model import AdminMode

__all__ = ["Action", "AdminModeMachine", "OpStateMachine", "StateModelError"]


class StateModelError(ValueError):
    """The state or mode does not allow this action; nothing has changed."""


class Action(Enum):
    """What can happen to the operational state."""

    INIT_INVOKED = "init_invoked"
    INIT_COMPLETED = "init_completed"
    INIT_FAILED = "init_failed"
    COMPONENT_DISCONNECTED = "component_disconnected"
    COMPONENT_UNKNOWN = "component_unknown"
    COMPONENT_OFF = "component_off"
    COMPONENT_STANDBY = "component_standby"
    COMPONENT_ON = "component_on"
    COMPONENT_FAULT = "component_fault"
    COMPONENT_NO_FAULT = "component_no_fault"


_POWER: Final = {
    Action.COMPONENT_DISCONNECTED: "DISABLE",
    Action.COMPONENT_UNKNOWN: "UNKNOWN",
    Action.COMPONENT_OFF: "OFF",
    Action.COMPONENT_STANDBY: "STANDBY",
    Action.COMPONENT_ON: "ON",
}
_CLEARS_FAULT: Final = frozenset(
    {
        Action.COMPONENT_DISCONNECTED,
        Action.COMPONENT_UNKNOWN,
        Action.COMPONENT_OFF,
        Action.COMPONENT_NO_FAULT,
    }
)


class OpStateMachine:
    """The operational state: `state` is the name of a Tango DevState.

    The power of the component and its fault are kept apart, so a fault hides the power, which is followed
    meanwhile and shown again afterwards. INIT hides both; a failed initialisation is a FAULT that only a new
    one ends.
    """

    def __init__(self) -> None:
        self._phase = "INIT"
        self._power = "DISABLE"
        self._fault = False

    @property
    def state(self) -> str:
        """INIT, DISABLE, UNKNOWN, OFF, STANDBY, ON or FAULT."""
        if self._phase:
            return self._phase
        return "FAULT" if self._fault else self._power

    def perform(self, action: Action) -> str:
        """Perform `action` and return the state that follows; StateModelError if it is not allowed."""
        if action is Action.INIT_INVOKED:
            self._phase, self._power, self._fault = "INIT", "DISABLE", False
        elif action is Action.INIT_COMPLETED:
            self._finish_init("")
        elif action is Action.INIT_FAILED:
            self._finish_init("FAULT")
        elif action is Action.COMPONENT_FAULT:
            if self._power == "DISABLE":
                raise StateModelError(f"Action {action.value} is not allowed in op_state {self.state}.")
            self._fault = True
        else:
            self._power = _POWER.get(action, self._power)
            self._fault = self._fault and action not in _CLEARS_FAULT
        return self.state

    def _finish_init(self, phase: str) -> None:
        if self._phase != "INIT":
            raise StateModelError(f"The initialisation cannot end in op_state {self.state}.")
        self._phase = phase


_AWAY: Final = frozenset({AdminMode.NOT_FITTED, AdminMode.RESERVED, AdminMode.OFFLINE})
_IN_USE: Final = frozenset({AdminMode.OFFLINE, AdminMode.ENGINEERING, AdminMode.ONLINE})


class AdminModeMachine:
    """The administrative mode: OFFLINE lies between the modes of use and those of absence."""

    def __init__(self) -> None:
        self.mode = AdminMode.OFFLINE

    def change(self, mode: AdminMode) -> bool:
        """Go to `mode` and return whether that is a change; StateModelError if it is not allowed."""
        if not any({self.mode, mode} <= group for group in (_AWAY, _IN_USE)):
            action = f"to_{mode.name.lower()}"
            raise StateModelError(f"Action {action} is not allowed in admin mode {self.mode!r}.")
        changed = mode is not self.mode
        self.mode = mode
        return changed
