"""Readiness is whether scripts can be started, and if they cannot, why: one sentence for every door."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ska_oso_oet.health.component import ComponentSnapshot

READY_STATE = "ON"


def why_not_ready(
    state: str, health: HealthState, messages: Sequence[str], needed: ComponentSnapshot | None
) -> str:
    """Return why nothing can be started now; empty when it can.

    `state` is the name of the Tango state, `messages` are the device's own of `healthInfo`. `needed` is the
    component without which nothing can be started, whatever its weight; None while nobody watches it.
    """
    if state != READY_STATE:
        reason = f": {messages[0]}" if messages else ""
        return f"the controller is in state {state}{reason}"
    if needed is None:
        return "the controller has not checked its parts yet"
    if needed.pending:
        return f"{needed.component.name}: has not reported yet"
    if needed.condition() is not HealthState.OK:
        return "; ".join(finding.message for finding in needed.findings())
    return "; ".join(messages) if health is HealthState.FAILED else ""
