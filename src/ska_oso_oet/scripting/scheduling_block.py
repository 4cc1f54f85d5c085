"""Scheduling Blocks as observing scripts need them: which resources, which scans.

The documents follow the SKA project data model (ska-oso-pdm SBDefinition) as far as is read here;
the rest of a document is not looked at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ska_oso_oet.errors import InvalidArgument, Rejected
from ska_oso_oet.models import explain
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.scripting.telescope import telescope

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERFACES = "https://schema.skao.int"
CONTAINER_SCRIPTS = "file:///scripts/"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Target(_Part):
    """A source on the sky."""

    target_id: str
    reference_coordinate: dict[str, Any]


class ScanDefinition(_Part):
    """One kind of scan."""

    scan_definition_id: str
    scan_duration_ms: float
    target_ref: str | None = None
    dish_configuration_ref: str | None = None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.scan_duration_ms / 1000


class DishAllocation(_Part):
    """The dishes of an SB of SKA-Mid."""

    dish_ids: list[str]


class DishConfiguration(_Part):
    """How dishes receive."""

    dish_configuration_id: str
    receiver_band: str


class Aperture(_Part):
    """A station, or a part of one."""

    station_id: int
    substation_id: int = 1


class SubarrayBeam(_Part):
    """A beam of SKA-Low."""

    subarray_beam_id: int
    number_of_channels: int


class StationAllocation(_Part):
    """The stations and beams of an SB of SKA-Low."""

    selected_apertures: list[Aperture]
    subarray_beams: list[SubarrayBeam]


class SchedulingBlock(_Part):
    """What to observe."""

    sbd_id: str
    telescope: str
    targets: list[Target] = []
    scan_definitions: list[ScanDefinition] = []
    scan_sequence: list[str] = []
    dish_allocations: DishAllocation | None = None
    dish_configurations: list[DishConfiguration] = []
    mccs_allocation: StationAllocation | None = None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read an SB for this telescope.

        Raises InvalidArgument, naming what is wrong in the document, and Rejected for the other telescope's.
        """
        try:
            block = cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InvalidArgument(f"the Scheduling Block cannot be read: {error}") from error
        except ValidationError as error:
            raise InvalidArgument(f"{path} is no Scheduling Block: {explain(error)}") from None
        if block.telescope != f"ska_{telescope()}":
            raise Rejected(f"{block.sbd_id} is for {block.telescope}; this telescope is ska_{telescope()}")
        return block

    def scans(self, duration: float | None = None) -> Sequence[ScanDefinition]:
        """Return the scans in their order, each `duration` seconds long where that is given."""
        known = {scan.scan_definition_id: scan for scan in self.scan_definitions}
        missing = [name for name in self.scan_sequence if name not in known]
        if missing:
            raise InvalidArgument(f"{self.sbd_id}: scan_sequence names {missing[0]!r}, which is not defined")
        changes = {} if duration is None else {"scan_duration_ms": duration * 1000}
        return [known[name].model_copy(update=changes) for name in self.scan_sequence]

    def resources(self, subarray_id: int) -> dict[str, Any]:
        """Return the argument of CentralNode.AssignResources."""
        argument: dict[str, Any] = {
            "interface": f"{INTERFACES}/ska-tmc-assignresources/2.1",
            "transaction_id": "",
            "subarray_id": subarray_id,
        }
        if self.dish_allocations is not None:
            return {**argument, "dish": {"receptor_ids": self.dish_allocations.dish_ids}}
        allocation = self._stations()
        stations = [aperture.station_id for aperture in allocation.selected_apertures]
        beams = allocation.subarray_beams
        mccs = {
            "subarray_beam_ids": [beam.subarray_beam_id for beam in beams],
            "station_ids": [stations for _ in beams],
            "channel_blocks": [beam.number_of_channels // 8 for beam in beams],
        }
        return {**argument, "mccs": mccs}

    def configuration(self, scan: ScanDefinition) -> dict[str, Any]:
        """Return the argument of SubarrayNode.Configure for `scan`."""
        target = next((t.reference_coordinate for t in self.targets if t.target_id == scan.target_ref), {})
        argument: dict[str, Any] = {
            "interface": f"{INTERFACES}/ska-tmc-configure/2.3",
            "transaction_id": "",
            "sdp": {"scan_type": scan.scan_definition_id},
            "tmc": {"scan_duration": scan.duration},
        }
        if self.dish_allocations is not None:
            dish = {"receiver_band": self._band(scan)}
            return {**argument, "pointing": {"target": target}, "dish": dish}
        stations = [{"station_id": a.station_id} for a in self._stations().selected_apertures]
        beams = [
            {"subarray_beam_id": b.subarray_beam_id, "target": target}
            for b in self._stations().subarray_beams
        ]
        return {**argument, "mccs": {"stations": stations, "subarray_beams": beams}}

    def _stations(self) -> StationAllocation:
        if self.mccs_allocation is None:
            raise InvalidArgument(f"{self.sbd_id} has neither dish_allocations nor mccs_allocation")
        return self.mccs_allocation

    def _band(self, scan: ScanDefinition) -> str:
        for configuration in self.dish_configurations:
            if configuration.dish_configuration_id == scan.dish_configuration_ref:
                return configuration.receiver_band
        name = scan.scan_definition_id
        raise InvalidArgument(f"{self.sbd_id}: scan {name!r} has no dish configuration")


def example(telescope_name: str) -> dict[str, Any]:
    """Return the example SB of `mid` or `low`, its activities naming the scripts of this installation.

    In the file itself they are those of a container, under /scripts.
    """
    text = (scripts_dir() / "data" / f"{telescope_name}_sb.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text.replace(CONTAINER_SCRIPTS, f"{scripts_dir().as_uri()}/"))
    return document
