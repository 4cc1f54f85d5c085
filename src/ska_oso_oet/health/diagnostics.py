"""The diagnostics describe in words why the health of this device is what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.health.component import ComponentSnapshot

NO_CRITICAL_COMPONENT = "no critical component has been detected"
NOTHING_KNOWN = "no component that is in use has reported yet"


class HealthDiagnostics:
    """Produces the `healthInfo` of this device. The health itself is computed elsewhere."""

    def evaluate(
        self,
        snapshot: Mapping[str, ComponentSnapshot],
        final_health: HealthState,
        *,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, list[str]]:
        """Return the messages that explain `final_health`, without repeats, under the name of this device.

        `context` has the keys of `HealthStateModel.context()`, of which any may be missing; without
        `device_fqdn` the result is empty. The reason of a fault or of being disabled comes first,
        then this device's own component if there is one, then the others by name.
        """
        known = dict(context or {})
        device = str(known.get("device_fqdn") or "")
        if not device:
            return {}
        if final_health is HealthState.OK:
            return {device: []}
        messages = self._forced_messages(known)
        if not messages and final_health is HealthState.FAILED and not self._has_critical(snapshot):
            messages = [NO_CRITICAL_COMPONENT]
        names = sorted(snapshot, key=lambda name: (name != device, name))
        messages += [finding.message for name in names for finding in snapshot[name].findings()]
        if not messages and final_health is HealthState.UNKNOWN:
            messages = [NOTHING_KNOWN]
        return {device: list(dict.fromkeys(messages))}

    @staticmethod
    def _forced_messages(context: Mapping[str, Any]) -> list[str]:
        forced = [
            context.get("fault_reason") if context.get("faulty") else None,
            context.get("disabled_reason") if context.get("disabled") else None,
        ]
        return [str(reason) for reason in forced if reason]

    @staticmethod
    def _has_critical(snapshot: Mapping[str, ComponentSnapshot]) -> bool:
        return any(sample.component.critical for sample in snapshot.values())
