"""Scheduling Blocks as they are written in the field, one of each shape: what scripts make of them."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.scripting.scheduling_block import SchedulingBlock
from ska_oso_oet.simulators.observing import ASSIGNMENTS, CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.simulators.observing import TelescopeName

SBDS: Final = Path(__file__).parents[1] / "data" / "original" / "sbd"
WITH_SCANS: Final = sorted(path.stem for path in SBDS.glob("*.json") if path.stem != "mid-no-scans")


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], SchedulingBlock]:
    def read(document: dict[str, Any]) -> SchedulingBlock:
        monkeypatch.setenv("SKA_TELESCOPE", document["telescope"])
        path = tmp_path / "sb.json"
        path.write_text(json.dumps(document))
        return SchedulingBlock.from_file(path)

    return read


def document(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SBDS / f"{name}.json").read_text("utf-8"))
    return content


@pytest.mark.parametrize("name", WITH_SCANS)
def test_the_telescope_takes_what_a_block_asks_for(name: str, read: Callable[..., SchedulingBlock]) -> None:
    kind: TelescopeName = "mid" if name.startswith("mid") else "low"
    block = read(document(name))
    assert ASSIGNMENTS[kind].parse(block.resources(3)).subarray_id == 3
    scans = block.scans()
    assert scans
    for scan in scans:
        wanted = CONFIGURATIONS[kind].parse(scan.configuration)
        assert wanted.tmc.scan_duration == scan.duration > 0


def test_durations_are_read_by_their_unit(read: Callable[..., SchedulingBlock]) -> None:
    durations = {name: [scan.duration for scan in read(document(name)).scans()] for name in WITH_SCANS}
    assert durations == {
        "low-beam-scans": [3, 2],
        "low-scan-definitions": [4],
        "mid-allocation-scans": [2, 3, 3],
        "mid-receptor-ids": [2, 3, 2],
        "mid-scan-definitions": [2.5],
    }


def test_each_scan_points_at_its_own_target(read: Callable[..., SchedulingBlock]) -> None:
    first, second, _ = read(document("mid-allocation-scans")).scans()
    assert first.configuration["pointing"]["target"]["ra_str"] == "02:21:05.5000"
    assert second.configuration["pointing"]["target"] == {"kind": "special", "name": "Saturn"}
    assert {scan.configuration["dish"]["receiver_band"] for scan in (first, second)} == {"2"}


def test_beams_look_at_their_own_targets_at_the_same_time(read: Callable[..., SchedulingBlock]) -> None:
    block = read(document("low-beam-scans"))
    looked_at = [
        [beam["target"]["ra_str"][:5] for beam in scan.configuration["mccs"]["subarray_beams"]]
        for scan in block.scans()
    ]
    assert looked_at == [["01:03", "05:35"], ["05:35", "01:03"]]
    assert block.resources(1)["mccs"] == {
        "subarray_beam_ids": [1, 2],
        "station_ids": [[345, 350, 352, 431]] * 2,
        "channel_blocks": [8, 4],
    }


def test_a_block_without_scans_says_so(read: Callable[..., SchedulingBlock]) -> None:
    block = read(document("mid-no-scans"))
    assert block.resources(1)["dish"] == {"receptor_ids": ["SKA036", "SKA040", "SKA045"]}
    with pytest.raises(
        InvalidArgument, match=r"^this Scheduling Block \(.*\) has no scans that I can read: "
    ):
        block.scans()


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        (
            "mid-allocation-scans",
            "targets.1.reference_coordinate.ra_str",
            ...,
            "targets.1.reference_coordinate: ",
        ),
        ("mid-allocation-scans", "dish_allocations.dish_ids", [], "dish_allocations.dish_ids: "),
        (
            "mid-allocation-scans",
            "dish_allocations.scan_sequence.1.scan_duration_ms",
            "long",
            "dish_allocations.scan_sequence.1: scan_duration_ms: a number is expected, not 'long'",
        ),
        (
            "mid-allocation-scans",
            "dish_allocations.scan_sequence.2.scan_duration.unit",
            "fortnight",
            "dish_allocations.scan_sequence.2: scan_duration.unit: ",
        ),
        (
            "mid-allocation-scans",
            "dish_allocations.scan_sequence.1.target_ref",
            "elsewhere",
            "dish_allocations.scan_sequence.1.target_ref: 'elsewhere' is not among the targets",
        ),
        (
            "mid-allocation-scans",
            "dish_allocations.scan_sequence.1.csp_configuration_ref",
            ...,
            "dish_allocations.scan_sequence.1 has no receiver band",
        ),
        (
            "mid-allocation-scans",
            "csp_configurations.0.midcbf",
            ...,
            "'csp-configuration-50001' of the csp_configurations has no midcbf.frequency_band",
        ),
        (
            "mid-receptor-ids",
            "dish_configurations.0.receiver_band",
            "6",
            "dish_configurations.0.receiver_band: ",
        ),
        (
            "mid-receptor-ids",
            "scan_definitions.0.dish_configuration",
            "x",
            "scan_definitions.0.dish_configuration",
        ),
        ("mid-receptor-ids", "scan_sequence.1", "dessert", "scan_sequence names 'dessert'"),
        ("mid-receptor-ids", "scan_definitions.0.scan_duration", 0, "scan_definitions.0: scan_duration"),
        (
            "low-beam-scans",
            "mccs_allocation.subarray_beams.1.scan_sequence.0.scan_duration_ms",
            1,
            "mccs_allocation.subarray_beams.1.scan_sequence: beams take their scans together",
        ),
        (
            "low-beam-scans",
            "mccs_allocation.subarray_beams.1.scan_sequence.0.target_ref",
            "elsewhere",
            "mccs_allocation.subarray_beams.1.scan_sequence.0.target_ref: 'elsewhere'",
        ),
        (
            "low-beam-scans",
            "mccs_allocation.subarray_beams.0.apertures",
            [],
            "mccs_allocation: subarray_beams.0.apertures: no station",
        ),
        ("low-scan-definitions", "mccs_allocation", ..., "neither dish_allocations nor mccs_allocation"),
    ],
)
def test_what_cannot_be_used_is_named(
    name: str, path: str, value: Any, said: str, read: Callable[..., SchedulingBlock]
) -> None:
    changed = deepcopy(document(name))
    *places, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    part: Any = changed
    for place in places:
        part = part[place]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    with pytest.raises(InvalidArgument) as refusal:
        use(read, changed)
    assert said in str(refusal.value)


def use(read: Callable[..., SchedulingBlock], content: dict[str, Any]) -> None:
    block = read(content)
    block.resources(1), block.scans()


@pytest.mark.parametrize("duration", [0, -1.5, float("nan")])
def test_a_scan_lasts_longer_than_nothing(duration: float, read: Callable[..., SchedulingBlock]) -> None:
    with pytest.raises(InvalidArgument, match="scan_duration: more than 0 is expected"):
        read(document("mid-receptor-ids")).scans(duration)
