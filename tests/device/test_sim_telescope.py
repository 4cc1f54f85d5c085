from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.ska.control_model import HealthState, ObsState
from tests.device.simulated_telescope import Recorder, simulated_telescope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.simulated_telescope import SimulatedTelescope

RESOURCES: dict[str, dict[str, Any]] = {
    "mid": {"subarray_id": 1, "dish": {"receptor_ids": ["SKA001", "SKA036"]}},
    "low": {"subarray_id": 1, "mccs": {"station_ids": [[1, 2]]}},
}
ASSIGNED = {"mid": ("SKA001", "SKA036"), "low": ("station 1", "station 2")}
CONFIGURATION: dict[str, dict[str, Any]] = {
    "mid": {"dish": {"receiver_band": "2"}, "tmc": {"scan_duration": 2.0}},
    "low": {"mccs": {"subarray_beams": []}, "tmc": {"scan_duration": 2.0}},
}
# Longer than any test: the state lasts until the test ends it.
LONG = {"dish": {"receiver_band": "2"}, "tmc": {"scan_duration": 100_000.0}}


@pytest.fixture(scope="module", params=["mid", "low"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with simulated_telescope(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTelescope]:
    with simulated_telescope("mid", tmp_path_factory.mktemp("mid")) as running:
        yield running


@pytest.fixture
def telescope(mid: SimulatedTelescope) -> SimulatedTelescope:
    mid.reset()
    return mid


@pytest.fixture
def subarray(telescope: SimulatedTelescope) -> tango.DeviceProxy:
    return telescope.proxy(telescope.subarray(1))


@pytest.fixture
def states(subarray: tango.DeviceProxy, telescope: SimulatedTelescope) -> Iterator[Recorder]:
    recorder = Recorder(telescope.subarray(1), "obsState")
    yield recorder
    recorder.close()


def names(values: list[int]) -> list[str]:
    return [ObsState(value).name for value in values]


def switched_on(telescope: SimulatedTelescope) -> tango.DeviceProxy:
    central = telescope.proxy(telescope.central_node)
    recorder = Recorder(telescope.central_node, "telescopeState")
    central.TelescopeOn()
    recorder.until(tango.DevState.ON)
    recorder.close()
    return central


def brought_to(state: ObsState, subarray: tango.DeviceProxy, states: Recorder) -> None:
    """Bring an EMPTY subarray of SKA-Mid to IDLE, READY or SCANNING."""
    subarray.AssignResources(json.dumps(RESOURCES["mid"]))
    states.until(ObsState.IDLE)
    if state in {ObsState.READY, ObsState.SCANNING}:
        subarray.Configure(json.dumps(LONG))
        states.until(ObsState.READY)
    if state == ObsState.SCANNING:
        subarray.Scan('{"scan_id": 7}')
        states.until(ObsState.SCANNING)


def test_a_whole_observation(either: SimulatedTelescope) -> None:
    central = switched_on(either)
    device = either.subarray(1)
    subarray = either.proxy(device)
    states = Recorder(device, "obsState")
    central.AssignResources(json.dumps(RESOURCES[either.telescope]))
    assert names(states.until(ObsState.IDLE)) == ["EMPTY", "RESOURCING", "IDLE"]
    assert subarray.assignedResources == ASSIGNED[either.telescope]
    subarray.Configure(json.dumps(CONFIGURATION[either.telescope]))
    assert names(states.until(ObsState.READY)) == ["CONFIGURING", "READY"]
    assert json.loads(subarray.configuration)["tmc"] == {"scan_duration": 2.0}
    scans = Recorder(device, "scanID")
    scans.until(0)
    for scan_id in (41, 42):
        subarray.Scan(json.dumps({"scan_id": scan_id}))
        assert names(states.until(ObsState.READY)) == ["SCANNING", "READY"]
        assert scans.until(0) == [scan_id, 0]
    subarray.End()
    assert names(states.until(ObsState.IDLE)) == ["IDLE"]
    central.ReleaseResources(json.dumps({"subarray_id": 1, "release_all": True}))
    assert names(states.until(ObsState.EMPTY)) == ["RESOURCING", "EMPTY"]
    assert not subarray.assignedResources
    scans.close()
    states.close()


@pytest.mark.parametrize(
    ("command", "state"),
    [("TelescopeOn", "ON"), ("TelescopeStandby", "STANDBY"), ("TelescopeOff", "OFF")],
)
def test_the_telescope_is_switched_in_time(command: str, state: str, telescope: SimulatedTelescope) -> None:
    wanted = getattr(tango.DevState, state)
    central = switched_on(telescope)
    if command == "TelescopeOn":
        central.TelescopeStandby()
    recorder = Recorder(telescope.central_node, "telescopeState")
    [[code], [_]] = central.command_inout(command)
    seen = recorder.until(wanted)
    recorder.close()
    assert code == 1
    assert tango.DevState.UNKNOWN in seen


def test_a_scan_can_be_ended_early(subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(ObsState.SCANNING, subarray, states)
    assert subarray.scanID == 7
    subarray.EndScan()
    assert names(states.until(ObsState.READY)) == ["READY"]
    assert subarray.scanID == 0


@pytest.mark.parametrize("state", [ObsState.IDLE, ObsState.READY, ObsState.SCANNING])
def test_abort_and_restart(state: ObsState, subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(state, subarray, states)
    subarray.Abort()
    assert names(states.until(ObsState.ABORTED)) == ["ABORTING", "ABORTED"]
    assert (subarray.scanID, subarray.configuration) == (0, "")
    subarray.Restart()
    assert names(states.until(ObsState.EMPTY)) == ["RESTARTING", "EMPTY"]


def test_init_is_told_to_subscribers(subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(ObsState.SCANNING, subarray, states)
    subarray.Init()
    assert names(states.until(ObsState.EMPTY)) == ["EMPTY"]


def test_abort_takes_back_what_was_under_way(subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(ObsState.IDLE, subarray, states)
    subarray.Configure(json.dumps(LONG))
    subarray.Abort()
    assert names(states.until(ObsState.ABORTED)) == ["CONFIGURING", "ABORTING", "ABORTED"]


@pytest.mark.parametrize("command", ["ReleaseAllResources", "EndScan", "End", "Abort", "Restart"])
def test_a_command_in_the_wrong_state_is_refused(command: str, subarray: tango.DeviceProxy) -> None:
    with pytest.raises(tango.DevFailed) as caught:
        subarray.command_inout(command)
    assert caught.value.args[0].reason == "API_CommandNotAllowed"
    assert f"{command} is not allowed in obsState EMPTY, only in" in caught.value.args[0].desc


@pytest.mark.parametrize(
    ("command", "argument", "said"),
    [
        ("AssignResources", "{", "Invalid JSON"),
        ("AssignResources", "{}", "subarray_id: Field required"),
        ("AssignResources", '{"subarray_id": 1, "mccs": {"station_ids": [[1]]}}', "mccs: Extra inputs"),
        ("AssignResources", '{"subarray_id": 1, "dish": {"receptor_ids": []}}', "dish.receptor_ids"),
        ("Configure", '{"dish": {"receiver_band": "9"}, "tmc": {"scan_duration": 1}}', "dish.receiver_band"),
        ("Configure", '{"dish": {"receiver_band": "1"}, "tmc": {"scan_duration": 0}}', "tmc.scan_duration"),
        ("Configure", '{"dish": {"receiver_band": "1"}}', "tmc: Field required"),
        ("Scan", '{"scan_id": "x"}', "scan_id: Input should be a valid integer"),
        ("InjectFault", '{"command": "Fly", "message": ""}', "no command 'Fly'"),
    ],
)
def test_a_wrong_argument_is_named(
    command: str, argument: str, said: str, subarray: tango.DeviceProxy, states: Recorder
) -> None:
    if command == "Configure":
        brought_to(ObsState.IDLE, subarray, states)
    if command == "Scan":
        brought_to(ObsState.READY, subarray, states)
    before = subarray.obsState
    with pytest.raises(tango.DevFailed) as caught:
        subarray.command_inout(command, argument)
    assert caught.value.args[0].reason == "OET_InvalidArgument"
    assert said in caught.value.args[0].desc
    assert subarray.obsState == before


def test_an_injected_error_is_raised_once(subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(ObsState.IDLE, subarray, states)
    subarray.InjectFault('{"command": "Configure", "message": "the correlator is on fire"}')
    with pytest.raises(tango.DevFailed, match="the correlator is on fire"):
        subarray.Configure(json.dumps(LONG))
    assert subarray.obsState == ObsState.IDLE
    subarray.Configure(json.dumps(LONG))
    assert names(states.until(ObsState.READY)) == ["CONFIGURING", "READY"]


def test_an_injected_fault_ends_in_fault(subarray: tango.DeviceProxy, states: Recorder) -> None:
    brought_to(ObsState.READY, subarray, states)
    fault = {"command": "Scan", "message": "a dish is stuck", "effect": "fault"}
    subarray.InjectFault(json.dumps(fault))
    subarray.Configure(json.dumps(CONFIGURATION["mid"]))
    states.until(ObsState.READY)
    subarray.Scan('{"scan_id": 1}')
    assert names(states.until(ObsState.FAULT)) == ["SCANNING", "FAULT"]
    assert subarray.faultMessage == "a dish is stuck"
    assert subarray.healthState == HealthState.FAILED
    subarray.Restart()
    states.until(ObsState.EMPTY)
    assert (subarray.faultMessage, subarray.healthState) == ("", HealthState.OK)


def test_faults_can_be_counted_and_cleared(telescope: SimulatedTelescope) -> None:
    central = telescope.proxy(telescope.central_node)
    central.InjectFault('{"command": "TelescopeOn", "message": "no power", "count": 3}')
    for _ in range(2):
        with pytest.raises(tango.DevFailed, match="no power"):
            central.TelescopeOn()
    central.ClearFaults()
    central.TelescopeOn()


def test_resources_need_a_telescope_that_is_on(telescope: SimulatedTelescope) -> None:
    central = telescope.proxy(telescope.central_node)
    with pytest.raises(tango.DevFailed, match="the telescope is OFF, not ON"):
        central.AssignResources(json.dumps(RESOURCES["mid"]))


def test_a_dish_is_in_one_subarray(telescope: SimulatedTelescope, states: Recorder) -> None:
    central = switched_on(telescope)
    central.AssignResources(json.dumps(RESOURCES["mid"]))
    states.until(ObsState.IDLE)
    with pytest.raises(tango.DevFailed, match="subarray 1 has SKA001, SKA036"):
        central.AssignResources(json.dumps({**RESOURCES["mid"], "subarray_id": 2}))
    with pytest.raises(tango.DevFailed, match="there are 4, not 5"):
        central.AssignResources(json.dumps({**RESOURCES["mid"], "subarray_id": 5}))


def test_the_server_ends_at_once_with_changes_under_way(tmp_path: Any) -> None:
    with simulated_telescope("mid", tmp_path) as running:
        subarray = running.proxy(running.subarray(1))
        states = Recorder(running.subarray(1), "obsState")
        brought_to(ObsState.SCANNING, subarray, states)
        states.close()
        running.process.terminate()
        assert running.process.wait(60) == 0  # the scan would take longer
