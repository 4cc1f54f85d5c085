from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import pytest

from ska_oso_oet.errors import InvalidArgument, Rejected
from ska_oso_oet.oda import SBDefinition
from ska_oso_oet.scripting.long_running import LongRunningCommand, apply_event
from ska_oso_oet.scripting.requests import Command
from ska_oso_oet.scripting.scheduling_block import SchedulingBlock, example
from ska_oso_oet.scripting.telescope import central_node_name, subarray_name, telescope
from ska_oso_oet.simulators.observing import ASSIGNMENTS, CONFIGURATIONS, TRANSITIONS
from ska_oso_oet.ska.control_model import ObsState, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.simulators.observing import TelescopeName

VARIABLES = ("SKA_TELESCOPE", "CENTRALNODE_FQDN", "SUBARRAYNODE_FQDN_PREFIX")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def name(**values: str) -> None:
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in values.items():
            monkeypatch.setenv(variable, value)

    name()
    return name


# ------------------------------------------------------------------ names


def test_skamid_is_the_default(names: Callable[..., None]) -> None:
    assert telescope() == "mid"
    assert central_node_name() == "ska_mid/tm_central/central_node"
    assert subarray_name(3) == "ska_mid/tm_subarray_node/3"


@pytest.mark.parametrize("name", ["skalow", "SKA-Low", "ska_low", "low"])
def test_skalow(name: str, names: Callable[..., None]) -> None:
    names(SKA_TELESCOPE=name)
    assert (telescope(), subarray_name(1)) == ("low", "ska_low/tm_subarray_node/1")


def test_another_telescope_is_refused(names: Callable[..., None]) -> None:
    names(SKA_TELESCOPE="alma")
    with pytest.raises(InvalidArgument, match="skamid or skalow, not 'alma'"):
        telescope()


def test_devices_can_be_named(names: Callable[..., None]) -> None:
    names(CENTRALNODE_FQDN="mid-tmc/central-node/0", SUBARRAYNODE_FQDN_PREFIX="mid-tmc/subarray/{:02d}")
    assert central_node_name() == "mid-tmc/central-node/0"
    assert subarray_name(1) == "mid-tmc/subarray/01"


# ------------------------------------------------------------------ Scheduling Blocks


@pytest.fixture(params=["mid", "low"])
def either(request: pytest.FixtureRequest, names: Callable[..., None]) -> TelescopeName:
    names(SKA_TELESCOPE=f"ska{request.param}")
    kind: TelescopeName = request.param
    return kind


def written(document: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "sb.json"
    path.write_text(json.dumps(document))
    return path


def test_the_examples_name_scripts_that_exist(either: TelescopeName) -> None:
    activities = example(either)["activities"]
    assert {"allocate", "observe", "deallocate"} <= set(activities)
    for activity in activities.values():
        assert Path(urlparse(activity["path"]).path).is_file()


def test_the_examples_are_sb_definitions(either: TelescopeName) -> None:
    definition = SBDefinition.parse(example(either))
    assert definition.sbd_id == f"sbd-{either}-example"


def test_what_is_sent_is_what_the_telescope_takes(either: TelescopeName, tmp_path: Path) -> None:
    block = SchedulingBlock.from_file(written(example(either), tmp_path))
    assignment = ASSIGNMENTS[either].parse(block.resources(2))
    assert assignment.subarray_id == 2
    assert len(assignment.resources) == 2
    for scan in block.scans():
        wanted = CONFIGURATIONS[either].parse(scan.configuration)
        assert wanted.tmc.scan_duration == scan.duration
        assert wanted.sdp == {"scan_type": scan.scan_definition_id}


def test_scans_come_in_sequence(names: Callable[..., None], tmp_path: Path) -> None:
    document = example("mid") | {"scan_sequence": ["science", "calibrator", "science"]}
    block = SchedulingBlock.from_file(written(document, tmp_path))
    assert [scan.scan_definition_id for scan in block.scans()] == document["scan_sequence"]
    assert [scan.duration for scan in block.scans()] == [6, 4, 6]
    assert [scan.duration for scan in block.scans(14.5)] == [14.5] * 3


def test_a_scan_that_is_not_defined_is_named(names: Callable[..., None], tmp_path: Path) -> None:
    document = example("mid") | {"scan_sequence": ["science", "dessert"]}
    with pytest.raises(InvalidArgument, match=r"\(sbd-mid-example\).*: scan_sequence names 'dessert'"):
        SchedulingBlock.from_file(written(document, tmp_path)).scans()


def test_the_other_telescopes_sb_is_refused(names: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="sbd-low-example is for ska_low"):
        SchedulingBlock.from_file(written(example("low"), tmp_path))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("dish_allocations", "neither dish_allocations nor"),
        ("dish_configurations", "is not among the dish_configurations"),
    ],
)
def test_what_is_missing_is_named(
    missing: str, said: str, names: Callable[..., None], tmp_path: Path
) -> None:
    document = example("mid")
    del document[missing]
    block = SchedulingBlock.from_file(written(document, tmp_path))
    with pytest.raises(InvalidArgument, match=said):
        block.resources(1), block.scans()


# ------------------------------------------------------------------ rules


def test_every_state_can_be_left_and_reached() -> None:
    left = set().union(*(each.allowed for each in TRANSITIONS.values()))
    reached = {each.after for each in TRANSITIONS.values()}
    resting = {ObsState.EMPTY, ObsState.IDLE, ObsState.READY, ObsState.ABORTED}
    assert resting <= left
    assert resting == reached


def test_events_about_other_commands_change_nothing() -> None:
    known = LongRunningCommand("mine", TaskStatus.IN_PROGRESS, 10)
    assert apply_event(known, "_lrcevent", ["other", '{"status": 5}']) == known
    assert apply_event(known, "longrunningcommandstatus", ["other", "COMPLETED"]) == known
    both = ["other", "COMPLETED", "mine", "ABORTED"]
    assert apply_event(known, "longrunningcommandstatus", both).status == TaskStatus.ABORTED


@pytest.mark.parametrize(
    ("status", "result", "succeeded"),
    [
        (TaskStatus.COMPLETED, [0, "ok"], True),
        (TaskStatus.COMPLETED, None, True),
        (TaskStatus.COMPLETED, {"any": "thing"}, True),
        (TaskStatus.COMPLETED, [3, "no"], False),
        (TaskStatus.ABORTED, [0, "ok"], False),
        (TaskStatus.FAILED, None, False),
    ],
)
def test_success_is_completion_with_an_ok_result(status: TaskStatus, result: Any, succeeded: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert LongRunningCommand("id", status, None, result).succeeded is succeeded


def test_commands_are_compared_by_what_they_ask() -> None:
    assert Command("a/b/c", "On", 1, x=2) == Command("a/b/c", "On", 1, x=2)
    assert Command("a/b/c", "On", [1]) != Command("a/b/c", "On", [2])
    assert [Command("a", "b", *args).argument for args in ((), (1,), (1, 2))] == [(), (1,), ([1, 2],)]
