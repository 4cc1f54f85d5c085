"""The health of a device is computed here: whether it can do its work, and if it cannot, why."""

from ska_oso_oet.health.component import Component, ComponentSnapshot
from ska_oso_oet.health.diagnostics import HealthDiagnostics
from ska_oso_oet.health.health_store import HealthStateStore
from ska_oso_oet.health.info_manager import HealthInfoManager
from ska_oso_oet.health.model import HealthStateModel
from ska_oso_oet.health.policy import HealthEvaluationPolicy
from ska_oso_oet.health.probes import Checked, ComponentProbe, Probe, ProbeRunner
from ska_oso_oet.health.readiness import why_not_ready
from ska_oso_oet.health.snapshot_store import ComponentSnapshotStore, Sample
from ska_oso_oet.health.supervisor import HealthSupervisor

__all__ = [
    "Checked",
    "Component",
    "ComponentProbe",
    "ComponentSnapshot",
    "ComponentSnapshotStore",
    "HealthDiagnostics",
    "HealthEvaluationPolicy",
    "HealthInfoManager",
    "HealthStateModel",
    "HealthStateStore",
    "HealthSupervisor",
    "Probe",
    "ProbeRunner",
    "Sample",
    "why_not_ready",
]
