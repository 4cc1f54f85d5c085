from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.ska.control_model import ObsState
from tests.device.script_process import script, succeeds
from tests.device.simulated_telescope import Recorder, simulated_telescope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.simulated_telescope import SimulatedTelescope

DATA = scripts_dir() / "data"
ORIGINAL = Path(__file__).parents[1] / "data" / "original" / "sbd"


@pytest.fixture(scope="module")
def telescopes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SimulatedTelescope]]:
    with ExitStack() as running:
        yield {
            name: running.enter_context(simulated_telescope(name, tmp_path_factory.mktemp(name)))
            for name in ("mid", "low")
        }


@pytest.fixture(params=["mid", "low"])
def either(request: pytest.FixtureRequest, telescopes: dict[str, SimulatedTelescope]) -> SimulatedTelescope:
    telescopes[request.param].reset()
    return telescopes[request.param]


@pytest.fixture
def telescope(telescopes: dict[str, SimulatedTelescope]) -> SimulatedTelescope:
    telescopes["mid"].reset()
    return telescopes["mid"]


@pytest.fixture
def recorders() -> Iterator[ExitStack]:
    with ExitStack() as open_ones:
        yield open_ones


def sb(telescope: SimulatedTelescope) -> str:
    return str(DATA / f"{telescope.telescope}_sb.json")


def allocated(telescope: SimulatedTelescope, subarray_id: int = 1) -> tango.DeviceProxy:
    succeeds(telescope, "startup")
    succeeds(telescope, "allocate_from_file_sb", subarray_id=subarray_id, sb_json=sb(telescope))
    return telescope.proxy(telescope.subarray(subarray_id))


def states(recorders: ExitStack, telescope: SimulatedTelescope, subarray_id: int = 1) -> Recorder:
    recorder = Recorder(telescope.subarray(subarray_id), "obsState")
    recorders.callback(recorder.close)
    return recorder


def names(values: list[int]) -> list[str]:
    return [ObsState(value).name for value in values]


SCAN = ["CONFIGURING", "READY", "SCANNING", "READY"]


def test_a_whole_observation(either: SimulatedTelescope, recorders: ExitStack) -> None:
    seen = states(recorders, either)
    central = either.proxy(either.central_node)

    succeeds(either, "startup")
    assert central.telescopeState == tango.DevState.ON

    allocate = succeeds(either, "allocate_from_file_sb", subarray_id=1, sb_json=sb(either), sbi_id="sbi-1")
    assert names(seen.until(ObsState.IDLE)) == ["EMPTY", "RESOURCING", "IDLE"]
    assert allocate.topics() == ["subarray.resources.allocated", "sb.lifecycle.allocated"]

    observe = succeeds(either, "observe_sb", subarray_id=1, sb_json=sb(either), sbi_id="sbi-1")
    assert names(seen.until(ObsState.IDLE)) == [*SCAN, *SCAN, "IDLE"]
    scan = [
        "scan.lifecycle.configure.started",
        "subarray.configured",
        "scan.lifecycle.configure.complete",
        "scan.lifecycle.start",
        "subarray.scan.started",
        "subarray.scan.finished",
        "scan.lifecycle.end.succeeded",
    ]
    observation = "sb.lifecycle.observation"
    assert observe.topics() == [f"{observation}.started", *scan, *scan, f"{observation}.finished.succeeded"]
    assert {event["sb_id"] for event in observe.events if "sb_id" in event} == {"sbi-1"}
    progress = [event["progress"] for event in observe.events if event["topic"] == "procedure.progress"]
    assert progress == sorted(progress)
    assert {0, 50, 100} <= set(progress)

    succeeds(either, "deallocate", subarray_id=1)
    assert names(seen.until(ObsState.EMPTY)) == ["RESOURCING", "EMPTY"]
    succeeds(either, "standby")
    assert central.telescopeState == tango.DevState.STANDBY


def test_scheduling_blocks_of_every_shape_are_observed(
    either: SimulatedTelescope, recorders: ExitStack
) -> None:
    succeeds(either, "startup")
    seen = states(recorders, either)
    files = sorted(ORIGINAL.glob(f"{either.telescope}-*.json"))
    for file in files:
        succeeds(either, "allocate_from_file_sb", subarray_id=1, sb_json=str(file))
        seen.until(ObsState.IDLE)
        observe = script(either, "observe_sb", subarray_id=1, sb_json=str(file))
        status, errors = observe.ended()
        if file.stem == "mid-no-scans":
            assert "has no scans that I can read" in errors
            assert (status, observe.events, names(seen.rest())) == (1, [], [])
        else:
            assert status == 0, errors
            taken = observe.topics().count("subarray.scan.finished")
            assert names(seen.until(ObsState.IDLE)) == [*SCAN * taken, "IDLE"]
        either.proxy(either.central_node).ReleaseResources(json.dumps({"subarray_id": 1}))
        seen.until(ObsState.EMPTY)
    assert len(files) == {"mid": 4, "low": 2}[either.telescope]


def scan_together(telescope: SimulatedTelescope, both: list[Recorder]) -> list[list[str]]:
    """Let both subarrays scan for longer than a test lasts, and end the scans once both are in one."""
    seen = [names(recorder.until(ObsState.SCANNING)) for recorder in both]
    for number in (1, 2):
        telescope.proxy(telescope.subarray(number)).EndScan()
    return seen


def test_two_subarrays_observe_at_the_same_time(
    telescope: SimulatedTelescope, recorders: ExitStack, tmp_path: Path
) -> None:
    allocated(telescope, 1)
    other = json.loads((DATA / "mid_sb.json").read_text())
    other["dish_allocations"]["dish_ids"] = ["SKA063", "SKA100"]
    other_file = tmp_path / "other.json"
    other_file.write_text(json.dumps(other))
    succeeds(telescope, "allocate_from_file_sb", subarray_id=2, sb_json=str(other_file))
    both = [states(recorders, telescope, number) for number in (1, 2)]
    files = {1: sb(telescope), 2: str(other_file)}
    running = [
        script(telescope, "observe_sb", subarray_id=number, sb_json=files[number], scan_duration=100_000.0)
        for number in (1, 2)
    ]
    for _ in range(2):
        scan_together(telescope, both)
    for process in running:
        assert process.ended()[0] == 0
    for recorder in both:
        assert names(recorder.until(ObsState.IDLE)) == ["READY", "IDLE"]


@pytest.mark.parametrize(
    ("topic", "end"),
    [("subarray.scan.started", ObsState.IDLE), ("scan.lifecycle.configure.started", ObsState.ABORTED)],
)
def test_a_stopped_observation_leaves_a_known_state(
    topic: str, end: ObsState, telescope: SimulatedTelescope, recorders: ExitStack
) -> None:
    subarray = allocated(telescope)
    seen = states(recorders, telescope)
    if end == ObsState.ABORTED:
        subarray.InjectFault('{"command": "Configure", "message": "stuck", "effect": "hang"}')
    observe = script(telescope, "observe_sb", subarray_id=1, sb_json=sb(telescope), scan_duration=10_000.0)
    observe.until(topic)
    if end == ObsState.ABORTED:
        seen.until(ObsState.CONFIGURING)
    observe.process.send_signal(signal.SIGTERM)
    status, errors = observe.ended()
    assert status == 4, errors
    assert ObsState(subarray.obsState) == end, errors
    failed = "scan.lifecycle.end" if end == ObsState.IDLE else "scan.lifecycle.configure"
    assert observe.topics()[-2:] == [f"{failed}.failed", "sb.lifecycle.observation.finished.failed"]


def test_stop_then_abort_in_mid_scan(telescope: SimulatedTelescope, recorders: ExitStack) -> None:
    subarray = allocated(telescope)
    observe = script(telescope, "observe_sb", subarray_id=1, sb_json=sb(telescope), scan_duration=10_000.0)
    observe.until("subarray.scan.started")
    observe.process.kill()
    observe.ended()
    assert ObsState(subarray.obsState) == ObsState.SCANNING
    seen = states(recorders, telescope)
    succeeds(telescope, "abort", subarray_id=1)
    assert names(seen.until(ObsState.ABORTED)) == ["SCANNING", "ABORTING", "ABORTED"]
    again = succeeds(telescope, "abort", subarray_id=1, restart=True)
    assert names(seen.until(ObsState.EMPTY)) == ["RESTARTING", "EMPTY"]
    assert [event["msg"] for event in again.events] == [
        "subarray 1 is ABORTED: nothing to abort",
        "subarray 1 is EMPTY",
    ]


@pytest.mark.parametrize("effect", ["error", "fault"])
def test_a_fault_ends_the_script_with_the_devices_error(effect: str, telescope: SimulatedTelescope) -> None:
    subarray = allocated(telescope)
    fault = {"command": "Configure", "message": "the correlator is on fire", "effect": effect}
    subarray.InjectFault(json.dumps(fault))
    observe = script(telescope, "observe_sb", subarray_id=1, sb_json=sb(telescope))
    status, errors = observe.ended()
    assert status == 1
    assert "the correlator is on fire" in errors
    assert ObsState(subarray.obsState) == (ObsState.FAULT if effect == "fault" else ObsState.IDLE)
    assert observe.topics()[-2:] == [
        "scan.lifecycle.configure.failed",
        "sb.lifecycle.observation.finished.failed",
    ]
    assert ("subarray.fault" in observe.topics()) == (effect == "fault")


def test_an_sb_of_the_other_telescope_is_refused(telescope: SimulatedTelescope) -> None:
    status, errors = script(telescope, "observe_sb", subarray_id=1, sb_json=str(DATA / "low_sb.json")).ended()
    assert status == 1
    assert "sbd-low-example is for ska_low; this telescope is ska_mid" in errors


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "Invalid JSON"), ('{"sbd_id": "x"}', "telescope: Field required"), (None, "cannot be read")],
)
def test_a_bad_sb_is_named(
    content: str | None, said: str, telescope: SimulatedTelescope, tmp_path: Path
) -> None:
    path = tmp_path / "sb.json"
    if content is not None:
        path.write_text(content)
    status, errors = script(telescope, "hello_world_with_sb", subarray_id=1, sb_json=str(path)).ended()
    assert status == 1
    assert said in errors


def test_hello_world_with_sb(telescope: SimulatedTelescope) -> None:
    hello = succeeds(telescope, "hello_world_with_sb", subarray_id=1, sb_json=sb(telescope), sbi_id="sbi-7")
    assert hello.events[0]["msg"] == "Hello, sbi-7!"


def test_devices_are_named_by_the_environment(
    telescope: SimulatedTelescope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CENTRALNODE_FQDN", "some/other/node")
    status, errors = script(telescope, "startup").ended()
    assert status == 1
    assert "some/other/node" in errors


SHARED = ["RESOURCING", "IDLE", *SCAN, "IDLE", "RESOURCING", "EMPTY"]


@pytest.fixture
def both(telescope: SimulatedTelescope, recorders: ExitStack) -> list[Recorder]:
    """Two subarrays of a telescope that is on, and empty."""
    succeeds(telescope, "startup")
    both = [states(recorders, telescope, number) for number in (1, 2)]
    for recorder in both:
        recorder.until(ObsState.EMPTY)
    return both


def test_example_parallel_subarrays(telescope: SimulatedTelescope, both: list[Recorder]) -> None:
    example = script(telescope, "examples/parallel_subarrays", scan_duration=100_000.0)
    begun = scan_together(telescope, both)
    assert example.ended()[0] == 0
    for seen, recorder in zip(begun, both, strict=True):
        assert seen + names(recorder.until(ObsState.EMPTY)) == SHARED


def test_example_parallel_subarrays_without_events(
    telescope: SimulatedTelescope, both: list[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OET_READ_VIA_PUBSUB", "false")
    succeeds(telescope, "examples/parallel_subarrays", scan_duration=10.0)
    for recorder in both:
        assert names(recorder.until(ObsState.EMPTY)) == SHARED


def test_example_announce_and_progress(telescope: SimulatedTelescope) -> None:
    announce = succeeds(telescope, "examples/announce", message="Fly", times=2)
    assert [event.get("msg") for event in announce.events] == ["Fly (1 of 2)", "Fly (2 of 2)", None]
    progress = succeeds(telescope, "examples/progress", steps=4, seconds=0.01)
    assert [event["progress"] for event in progress.events] == [25, 50, 75, 100]


def test_example_long_loop_cleans_up(telescope: SimulatedTelescope) -> None:
    loop = script(telescope, "examples/long_loop")
    loop.until("user.script.announce")
    loop.process.send_signal(signal.SIGTERM)
    assert loop.ended()[0] == 4
    assert loop.events[-1]["msg"] == "cleaned up"
