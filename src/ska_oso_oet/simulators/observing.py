"""This is the observing state machine of a subarray, with the arguments of its commands.

States and transitions are those of SKA subarrays (ADR-8); the times are about those of a real telescope,
scaled by the devices' property TimeScale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from ska_oso_oet.errors import Rejected
from ska_oso_oet.models import Model
from ska_oso_oet.ska.control_model import ObsState

TelescopeName = Literal["mid", "low"]
# What the simulated telescope accepts without reading it.
Passed = Annotated[dict[str, Any], Field(default_factory=dict)]
Numbers = Annotated[list[int], Field(default_factory=list)]


@dataclass(frozen=True)
class Transition:
    """What a command does to obsState: `during` it runs for `seconds`, then `after`."""

    allowed: frozenset[ObsState]
    during: ObsState | None
    after: ObsState
    seconds: float = 0.0


def _from(*states: ObsState) -> frozenset[ObsState]:
    return frozenset(states)


TRANSITIONS = {
    "AssignResources": Transition(
        _from(ObsState.EMPTY, ObsState.IDLE), ObsState.RESOURCING, ObsState.IDLE, seconds=2.0
    ),
    "ReleaseAllResources": Transition(_from(ObsState.IDLE), ObsState.RESOURCING, ObsState.EMPTY, seconds=1.0),
    "Configure": Transition(
        _from(ObsState.IDLE, ObsState.READY), ObsState.CONFIGURING, ObsState.READY, seconds=3.0
    ),
    # A scan lasts as long as it was configured to.
    "Scan": Transition(_from(ObsState.READY), ObsState.SCANNING, ObsState.READY),
    "EndScan": Transition(_from(ObsState.SCANNING), None, ObsState.READY),
    "End": Transition(_from(ObsState.READY), None, ObsState.IDLE),
    "Abort": Transition(
        _from(ObsState.RESOURCING, ObsState.IDLE, ObsState.CONFIGURING, ObsState.READY, ObsState.SCANNING),
        ObsState.ABORTING,
        ObsState.ABORTED,
        seconds=0.5,
    ),
    "Restart": Transition(
        _from(ObsState.ABORTED, ObsState.FAULT), ObsState.RESTARTING, ObsState.EMPTY, seconds=1.0
    ),
}


def transition(command: str, state: ObsState) -> Transition:
    """Return what `command` does in `state`; raises Rejected, naming the states that allow it."""
    wanted = TRANSITIONS[command]
    if state not in wanted.allowed:
        states = ", ".join(allowed.name for allowed in sorted(wanted.allowed))
        raise Rejected(f"{command} is not allowed in obsState {state.name}, only in {states}")
    return wanted


class _Payload(Model):
    interface: str | None = None
    transaction_id: str | None = None


class Dishes(Model):
    """Which dishes a subarray of SKA-Mid gets."""

    receptor_ids: Annotated[list[str], Field(min_length=1)]


class Stations(Model):
    """Which stations a subarray of SKA-Low gets, one list per subarray beam."""

    subarray_beam_ids: Numbers
    station_ids: Annotated[list[list[int]], Field(min_length=1)]
    channel_blocks: Numbers


class Assignment(_Payload):
    """Argument of AssignResources."""

    subarray_id: Annotated[int, Field(ge=1, le=16)]
    sdp: Passed

    @property
    def resources(self) -> list[str]:
        """What is assigned, each part by a name of its own."""
        raise NotImplementedError


class MidAssignment(Assignment):
    """AssignResources of SKA-Mid."""

    dish: Dishes

    @property
    def resources(self) -> list[str]:
        """Names of dishes."""
        return list(self.dish.receptor_ids)


class LowAssignment(Assignment):
    """AssignResources of SKA-Low."""

    mccs: Stations

    @property
    def resources(self) -> list[str]:
        """Numbers of stations."""
        return [f"station {number}" for beam in self.mccs.station_ids for number in beam]


class Release(_Payload):
    """Argument of CentralNode.ReleaseResources: all that the subarray has."""

    subarray_id: Annotated[int, Field(ge=1, le=16)]
    release_all: Literal[True] = True


class Timing(Model):
    """How long each scan of a configuration lasts, in seconds."""

    scan_duration: Annotated[float, Field(gt=0)]


class Receiver(Model):
    """Which band the dishes receive."""

    receiver_band: Literal["1", "2", "3", "4", "5a", "5b"]


class Configuration(_Payload):
    """Argument of Configure; what concerns the correlator and the data processor is passed through."""

    tmc: Timing
    csp: Passed
    sdp: Passed


class MidConfiguration(Configuration):
    """Configure of SKA-Mid."""

    dish: Receiver
    pointing: Passed


class LowConfiguration(Configuration):
    """Configure of SKA-Low."""

    mccs: dict[str, Any]


class ScanRequest(_Payload):
    """Argument of Scan."""

    scan_id: Annotated[int, Field(ge=1)]


class Fault(Model):
    """Argument of InjectFault: the next `count` calls of `command` fail with `message`.

    `error`: the command is refused with it. `fault`: the command starts, and ends in obsState FAULT.
    `hang`: the command starts and never ends.
    """

    command: str
    message: str
    effect: Literal["error", "fault", "hang"] = "error"
    count: Annotated[int, Field(ge=1)] = 1


ASSIGNMENTS: dict[TelescopeName, type[Assignment]] = {"mid": MidAssignment, "low": LowAssignment}
CONFIGURATIONS: dict[TelescopeName, type[Configuration]] = {"mid": MidConfiguration, "low": LowConfiguration}
