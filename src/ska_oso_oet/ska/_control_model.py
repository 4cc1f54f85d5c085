"""These enumerations of the SKA control model are used where ska-control-model is not installed."""

from __future__ import annotations

from enum import IntEnum


class AdminMode(IntEnum):
    """Who may use a device."""

    ONLINE = 0
    OFFLINE = 1
    ENGINEERING = 2
    NOT_FITTED = 3
    RESERVED = 4


class HealthState(IntEnum):
    """Whether a device can do its work."""

    OK = 0
    DEGRADED = 1
    FAILED = 2
    UNKNOWN = 3


class ControlMode(IntEnum):
    """From where a device accepts commands."""

    REMOTE = 0
    LOCAL = 1


class SimulationMode(IntEnum):
    """Whether the hardware is simulated."""

    FALSE = 0
    TRUE = 1


class TestMode(IntEnum):
    """Whether a device is in test mode."""

    NONE = 0
    TEST = 1


class LoggingLevel(IntEnum):
    """How much a device logs."""

    OFF = 0
    FATAL = 1
    ERROR = 2
    WARNING = 3
    INFO = 4
    DEBUG = 5


class ResultCode(IntEnum):
    """How a command ended, or whether it was accepted."""

    OK = 0
    STARTED = 1
    QUEUED = 2
    FAILED = 3
    UNKNOWN = 4
    REJECTED = 5
    NOT_ALLOWED = 6
    ABORTED = 7


class TaskStatus(IntEnum):
    """Where a long running command stands."""

    STAGING = 0
    QUEUED = 1
    IN_PROGRESS = 2
    ABORTED = 3
    NOT_FOUND = 4
    COMPLETED = 5
    REJECTED = 6
    FAILED = 7


class PowerState(IntEnum):
    """The power of a component."""

    UNKNOWN = 0
    NO_SUPPLY = 1
    OFF = 2
    STANDBY = 3
    ON = 4


class CommunicationStatus(IntEnum):
    """Whether a component can be reached."""

    DISABLED = 0
    NOT_ESTABLISHED = 1
    ESTABLISHED = 2


class ObsState(IntEnum):
    """The observing state of a subarray."""

    EMPTY = 0
    RESOURCING = 1
    IDLE = 2
    CONFIGURING = 3
    READY = 4
    SCANNING = 5
    ABORTING = 6
    ABORTED = 7
    RESETTING = 8
    FAULT = 9
    RESTARTING = 10


class ObsMode(IntEnum):
    """What a subarray observes."""

    IDLE = 0
    IMAGING = 1
    PULSAR_SEARCH = 2
    PULSAR_TIMING = 3
    DYNAMIC_SPECTRUM = 4
    TRANSIENT_SEARCH = 5
    VLBI = 6
    CALIBRATION = 7
