"""A component is a part whose health counts; docs/reference/health.md has the table of what makes it bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ska_oso_oet.ska.control_model import AdminMode, HealthState

if TYPE_CHECKING:
    from ska_oso_oet.ska.control_model import ObsState

NOT_IN_USE = frozenset({AdminMode.OFFLINE, AdminMode.NOT_FITTED, AdminMode.RESERVED})
BAD_STATES = {
    "FAULT": HealthState.FAILED,
    "ALARM": HealthState.DEGRADED,
    "UNKNOWN": HealthState.UNKNOWN,
}
# From the worst to the best.
SEVERITY = (HealthState.FAILED, HealthState.DEGRADED, HealthState.UNKNOWN, HealthState.OK)


@dataclass(frozen=True)
class Component:
    """A part of this device or a device it depends on; critical if its weight is above 0.

    `name` is what operators call it: "fork server", or the Tango name of a device.
    """

    name: str
    weight: int = 0

    @property
    def critical(self) -> bool:
        """Whether this device cannot do its work without it."""
        return self.weight > 0


class Finding(NamedTuple):
    """One thing that is wrong with a component: how bad it makes it, and a sentence for the operator."""

    condition: HealthState
    message: str


@dataclass(frozen=True)
class ComponentSnapshot:
    """The latest that a component has reported; None stands for what it has not.

    `state` is the name of a Tango state, such as "ON". `message` explains `health`.
    """

    component: Component
    state: str | None = None
    health: HealthState | None = None
    admin_mode: AdminMode | None = None
    obs_state: ObsState | None = None
    message: str | None = None

    @property
    def pending(self) -> bool:
        """Whether neither its health nor its state is known yet."""
        return self.health is None and self.state is None

    @property
    def counts(self) -> bool:
        """Whether it is judged at all: a component that is not critical may be out of use or unheard of."""
        return self.component.critical or not (self.pending or self.admin_mode in NOT_IN_USE)

    def findings(self) -> list[Finding]:
        """Return all that is wrong with it, in a fixed order."""
        name, found = self.component.name, []
        if not self.counts:
            return []
        if self.pending:
            return [Finding(HealthState.UNKNOWN, f"{name}: has not reported yet")]
        if self.health not in {None, HealthState.OK}:
            found.append(
                Finding(self.health, f"{name}: {self.message or f'healthState is {self.health.name}'}")
            )
        if (condition := self._condition_of_state()) is not None:
            found.append(Finding(condition, f"{name}: State is {self.state}"))
        if self.admin_mode in NOT_IN_USE:
            found.append(Finding(HealthState.UNKNOWN, f"{name}: adminMode is {self.admin_mode.name}"))
        return found

    def condition(self) -> HealthState:
        """Return the worst of the findings, OK if there are none."""
        return min((found.condition for found in self.findings()), key=SEVERITY.index, default=HealthState.OK)

    def _condition_of_state(self) -> HealthState | None:
        if self.state == "DISABLE" and self.component.critical:
            return HealthState.UNKNOWN
        return BAD_STATES.get(self.state or "")
