"""Observing scripts read from a Scheduling Block which resources to assign and which scans to do.

The documents follow the SKA project data model (ska-oso-pdm SBDefinition) as far as is read here;
the rest of a document is not looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError

from ska_oso_oet.errors import InvalidArgument, Rejected
from ska_oso_oet.models import explain
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.scripting.sb_document import (
    CorrelatorConfiguration,
    DishAllocation,
    DishConfiguration,
    Part,
    ScanDefinition,
    StationAllocation,
    SubarrayBeam,
    Target,
)
from ska_oso_oet.scripting.telescope import telescope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

INTERFACES = "https://schema.skao.int"
CONTAINER_SCRIPTS = "file:///scripts/"


@dataclass(frozen=True)
class Scan:
    """A scan as it is done: `duration` in seconds, and the argument of SubarrayNode.Configure."""

    scan_definition_id: str
    duration: float
    target_ref: str | None
    configuration: dict[str, Any]


@dataclass(frozen=True)
class _Look:
    """What one beam does in one scan, and where the document describes it."""

    where: str
    scan: ScanDefinition
    beam: SubarrayBeam | None = None


class SchedulingBlock(Part):
    """What to observe."""

    sbd_id: str | None = None
    telescope: str
    targets: list[Target] = Field(default_factory=list)
    scan_definitions: list[ScanDefinition] = Field(default_factory=list)
    scan_sequence: list[str] = Field(default_factory=list)
    dish_allocations: DishAllocation | None = None
    dish_configurations: list[DishConfiguration] = Field(default_factory=list)
    csp_configurations: list[CorrelatorConfiguration] = Field(default_factory=list)
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
            raise Rejected(f"{block.name} is for {block.telescope}; this telescope is ska_{telescope()}")
        return block

    @property
    def name(self) -> str:
        """What events call it: its id, or `draft` where no store has assigned one."""
        return self.sbd_id or "draft"

    def scans(self, duration: float | None = None) -> Sequence[Scan]:
        """Return the scans in their order, each `duration` seconds long where that is given.

        Everything that any of them needs is looked up here: scans that are returned can be done. Raises
        InvalidArgument, naming what is wrong in the document, also where there is no scan.
        """
        if duration is not None and not duration > 0:
            raise InvalidArgument(f"scan_duration: more than 0 is expected, not {duration}")
        found = [self._scan(looks, duration) for looks in self._steps()]
        if not found:
            raise self._unreadable("the scan_sequence is empty")
        return found

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
        beams = allocation.subarray_beams
        mccs = {
            "subarray_beam_ids": [beam.subarray_beam_id for beam in beams],
            "station_ids": [allocation.stations(beam) for beam in beams],
            "channel_blocks": [self._channels(beam) // 8 for beam in beams],
        }
        return {**argument, "mccs": mccs}

    # ------------------------------------------------------------ which scans

    def _steps(self) -> Sequence[Sequence[_Look]]:
        """List the scans, each with what every beam does in it; SKA-Mid has one."""
        if self.dish_allocations is not None and self.dish_allocations.scan_sequence:
            sequence = enumerate(self.dish_allocations.scan_sequence)
            return [[_Look(f"dish_allocations.scan_sequence.{i}", scan)] for i, scan in sequence]
        beams = self.mccs_allocation.subarray_beams if self.mccs_allocation is not None else []
        if any(beam.scan_sequence for beam in beams):
            return self._steps_of(beams)
        return [
            [_Look(where, scan, beam) for beam in beams] or [_Look(where, scan)]
            for where, scan in self._named_scans()
        ]

    def _named_scans(self) -> Iterable[tuple[str, ScanDefinition]]:
        known = {
            scan.scan_definition_id: (f"scan_definitions.{i}", scan)
            for i, scan in enumerate(self.scan_definitions)
        }
        for name in self.scan_sequence:
            if name not in known:
                raise self._unreadable(f"scan_sequence names {name!r}, which is not in scan_definitions")
            yield known[name]

    def _steps_of(self, beams: Sequence[SubarrayBeam]) -> Sequence[Sequence[_Look]]:
        """Put together what the beams do at the same time: their first scans are one, and so on."""
        first = [scan.duration for scan in beams[0].scan_sequence]
        columns = []
        for number, beam in enumerate(beams):
            where = f"mccs_allocation.subarray_beams.{number}.scan_sequence"
            if [scan.duration for scan in beam.scan_sequence] != first:
                raise self._unreadable(
                    f"{where}: beams take their scans together, and these differ from the first beam's in"
                    " number or duration"
                )
            columns.append([_Look(f"{where}.{i}", scan, beam) for i, scan in enumerate(beam.scan_sequence)])
        return list(zip(*columns, strict=True))

    # ------------------------------------------------------------ what a scan needs

    def _scan(self, looks: Sequence[_Look], duration: float | None) -> Scan:
        scan = looks[0].scan
        seconds = scan.duration if duration is None else duration
        argument: dict[str, Any] = {
            "interface": f"{INTERFACES}/ska-tmc-configure/2.3",
            "transaction_id": "",
            "sdp": {"scan_type": scan.scan_definition_id},
            "tmc": {"scan_duration": seconds},
        }
        if self.mccs_allocation is None:
            argument["pointing"] = {"target": self._target(looks[0])}
            argument["dish"] = {"receiver_band": self._band(looks[0])}
        else:
            beams = [
                {"subarray_beam_id": look.beam.subarray_beam_id, "target": self._target(look)}
                for look in looks
                if look.beam is not None
            ]
            stations = [{"station_id": number} for number in self._all_stations()]
            argument["mccs"] = {"stations": stations, "subarray_beams": beams}
        return Scan(scan.scan_definition_id, seconds, scan.target_ref, argument)

    def _target(self, look: _Look) -> dict[str, Any]:
        wanted = look.scan.target_ref
        if wanted is None:
            return {}
        for target in self.targets:
            if target.target_id == wanted:
                return target.reference_coordinate
        raise self._unreadable(f"{look.where}.target_ref: {wanted!r} is not among the targets")

    def _band(self, look: _Look) -> str:
        """Find the receivers of the dishes: the document names them, or has the correlator's band."""
        scan, where = look.scan, look.where
        bands: dict[str, str | None]
        if (name := scan.dish_configuration_ref) is not None:
            bands = {each.dish_configuration_id: each.receiver_band for each in self.dish_configurations}
            return self._named(f"{where}.dish_configuration_ref", name, bands, "dish_configurations")
        if (name := scan.csp_configuration_ref) is not None:
            bands = {each.config_id: each.band for each in self.csp_configurations}
            return self._named(f"{where}.csp_configuration_ref", name, bands, "csp_configurations")
        raise self._unreadable(
            f"{where} has no receiver band: neither a dish_configuration_ref nor a csp_configuration_ref"
        )

    def _named(self, where: str, name: str, bands: Mapping[str, str | None], place: str) -> str:
        if name not in bands:
            raise self._unreadable(f"{where}: {name!r} is not among the {place}")
        if (band := bands[name]) is None:
            raise self._unreadable(f"{where}: {name!r} of the {place} has no midcbf.frequency_band")
        return band

    def _channels(self, beam: SubarrayBeam) -> int:
        """Return how many channels a beam needs: as the document has it, or the most that its scans use."""
        if beam.number_of_channels is not None:
            return beam.number_of_channels
        channels = {
            configuration.config_id: configuration.channels for configuration in self.csp_configurations
        }
        scans = beam.scan_sequence or self.scan_definitions
        return max((channels.get(scan.csp_configuration_ref or "", 0) for scan in scans), default=0)

    def _all_stations(self) -> Iterable[int]:
        allocation = self._stations()
        return dict.fromkeys(n for beam in allocation.subarray_beams for n in allocation.stations(beam))

    def _stations(self) -> StationAllocation:
        if self.mccs_allocation is None:
            raise InvalidArgument(f"{self.name} has neither dish_allocations nor mccs_allocation")
        return self.mccs_allocation

    def _unreadable(self, why: str) -> InvalidArgument:
        return InvalidArgument(f"this Scheduling Block ({self.name}) has no scans that I can read: {why}")


def example(telescope_name: str) -> dict[str, Any]:
    """Return the example SB of `mid` or `low`, its activities naming the scripts of this installation.

    In the file itself they are those of a container, under /scripts.
    """
    text = (scripts_dir() / "data" / f"{telescope_name}_sb.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text.replace(CONTAINER_SCRIPTS, f"{scripts_dir().as_uri()}/"))
    return document
