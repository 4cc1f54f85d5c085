"""The policy derives the health of a device from its components; docs/reference/health.md has the table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.health.component import Component, ComponentSnapshot


@dataclass(frozen=True)
class HealthEvaluationPolicy:
    """Evaluates the components; `weights` by name of the component override those they came with."""

    weights: Mapping[str, int] = field(default_factory=dict)

    def weigh(self, component: Component) -> Component:
        """Return the component with the weight that it has in this policy."""
        return replace(component, weight=self.weights.get(component.name, component.weight))

    def evaluate(self, snapshot: Mapping[str, ComponentSnapshot]) -> HealthState:
        """Fold the components, in whatever order they come, into one health."""
        judged = [sample for sample in snapshot.values() if sample.counts]
        reported = {sample.component.name: sample.condition() for sample in judged if not sample.pending}
        if any(sample.component.critical and sample.condition() is HealthState.FAILED for sample in judged):
            return HealthState.FAILED
        if any(condition is not HealthState.OK for condition in reported.values()):
            return HealthState.DEGRADED
        return HealthState.OK if reported and len(reported) == len(judged) else HealthState.UNKNOWN
