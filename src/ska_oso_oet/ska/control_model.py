# ruff: noqa: TC004 - a type checker sees our classes, the interpreter those that are installed
"""The SKA control model has these enumerations, with the names and values of ska-control-model.

Where the real package is installed (extra `skao`) its classes are used, so that values can be
compared by identity with those of other SKA software.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "AdminMode",
    "CommunicationStatus",
    "ControlMode",
    "HealthState",
    "LoggingLevel",
    "ObsMode",
    "ObsState",
    "PowerState",
    "ResultCode",
    "SimulationMode",
    "TaskStatus",
    "TestMode",
]

if TYPE_CHECKING:
    from ska_oso_oet.ska._control_model import (
        AdminMode,
        CommunicationStatus,
        ControlMode,
        HealthState,
        LoggingLevel,
        ObsMode,
        ObsState,
        PowerState,
        ResultCode,
        SimulationMode,
        TaskStatus,
        TestMode,
    )
else:
    try:
        import ska_control_model as _source
    except ImportError:
        from ska_oso_oet.ska import _control_model as _source
    for _name in __all__:
        globals()[_name] = getattr(_source, _name)
