"""The store of component snapshots that health supervision uses keeps a message with each health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.health.snapshot_store import ComponentSnapshotStore, given

if TYPE_CHECKING:
    from ska_oso_oet.health.component import Component
    from ska_oso_oet.ska.control_model import AdminMode, HealthState, ObsState


class HealthStateStore(ComponentSnapshotStore):
    """A store in which a component's health comes with the message that explains it."""

    def expect(self, component: Component) -> int:
        """Know of a component before it reports anything. Returns the revision."""
        return self._replace(component, {})

    def set(
        self,
        component: Component,
        *,
        health: HealthState | None = None,
        state: str | None = None,
        admin_mode: AdminMode | None = None,
        obs_state: ObsState | None = None,
        message: str | None = None,
    ) -> int:
        """Replace some values of a component's snapshot. Returns the revision.

        None keeps the known value, but a new health replaces the message that explained the last one.
        """
        changes = given(health=health, state=state, admin_mode=admin_mode, obs_state=obs_state)
        if health is not None or message is not None:
            changes["message"] = message
        return self._replace(component, changes)
