"""The store keeps the latest of every component, and a revision that increases with each change."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ska_oso_oet.health.component import Component, ComponentSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.ska.control_model import AdminMode, HealthState, ObsState

T = TypeVar("T")


@dataclass(frozen=True)
class Sample(Generic[T]):
    """A value, the revision that brought it and when that was (seconds since 1970)."""

    value: T
    revision: int
    time: float


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


class ComponentSnapshotStore:
    """Thread-safe store of component snapshots, by name of the component.

    The revision increases by one when, and only when, an update changes what is known.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._samples: dict[str, Sample[ComponentSnapshot]] = {}
        self._revision = 0

    def set(
        self,
        component: Component,
        *,
        state: str | None = None,
        health: HealthState | None = None,
        admin_mode: AdminMode | None = None,
        obs_state: ObsState | None = None,
    ) -> int:
        """Replace some values of a snapshot; None keeps the known value. Returns the revision."""
        changes = given(state=state, health=health, admin_mode=admin_mode, obs_state=obs_state)
        return self._replace(component, changes)

    def snapshot(self) -> dict[str, ComponentSnapshot]:
        """Return the snapshots as they are now, by name of the component."""
        with self._lock:
            return {name: sample.value for name, sample in self._samples.items()}

    def snapshot_samples(self) -> dict[str, Sample[ComponentSnapshot]]:
        """Return the snapshots with the revision and the time of their last change."""
        with self._lock:
            return dict(self._samples)

    def clear(self) -> int:
        """Know of no component any more. Returns the revision."""
        with self._lock:
            if self._samples:
                self._samples.clear()
                self._revision += 1
            return self._revision

    def revision(self) -> int:
        """Return the present revision."""
        with self._lock:
            return self._revision

    def _replace(self, component: Component, changes: dict[str, Any]) -> int:
        with self._lock:
            known = self._samples.get(component.name)
            old = known.value if known else None
            new = replace(old or ComponentSnapshot(component), component=component, **changes)
            if new != old:
                self._revision += 1
                self._samples[component.name] = Sample(new, self._revision, self._clock())
            return self._revision
