"""The model holds the health of this device, and what may override it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ska_oso_oet.ska.control_model import HealthState


@dataclass(frozen=True)
class _Override:
    active: bool = False
    reason: str = ""


class HealthStateModel:
    """Holds the health of the device `device_fqdn`; thread-safe.

    A faulty device is FAILED and a disabled one UNKNOWN, whatever its components report.
    """

    def __init__(self, device_fqdn: str) -> None:
        self.device_fqdn = device_fqdn
        self._lock = threading.Lock()
        self._health = HealthState.UNKNOWN
        self._faulty = _Override()
        self._disabled = _Override()

    @property
    def health_state(self) -> HealthState:
        """The health as it was last evaluated; UNKNOWN before."""
        with self._lock:
            return self._health

    def set_faulty(self, *, faulty: bool, reason: str = "") -> None:
        """Note whether the device itself is in a fault."""
        with self._lock:
            self._faulty = _Override(faulty, reason)

    def set_disabled(self, *, disabled: bool, reason: str = "") -> None:
        """Note whether the device is switched out of use."""
        with self._lock:
            self._disabled = _Override(disabled, reason)

    def update(self, components: HealthState) -> tuple[HealthState, bool]:
        """Set the health of the components; returns that of the device and whether it has changed."""
        with self._lock:
            before = self._health
            if self._faulty.active:
                self._health = HealthState.FAILED
            else:
                self._health = HealthState.UNKNOWN if self._disabled.active else components
            return self._health, self._health is not before

    def context(self) -> dict[str, Any]:
        """Return what HealthDiagnostics wants to know besides the components."""
        with self._lock:
            return {
                "device_fqdn": self.device_fqdn,
                "faulty": self._faulty.active,
                "fault_reason": self._faulty.reason,
                "disabled": self._disabled.active,
                "disabled_reason": self._disabled.reason,
            }
