"""Observing scripts use these parts of a Scheduling Block's document; each is checked when it is read.

Documents of all releases of the SKA project data model (ska-oso-pdm) are read: names that have changed are
known by both, and durations by their unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_COORDINATES: Final = {
    "equatorial": ("ra", "dec"),
    "icrs": ("ra_str", "dec_str"),
    "galactic": ("l", "b"),
    "horizontal": ("az", "el"),
    "altaz": ("az", "el"),
    "special": ("name",),
}
"""What places a source on the sky, by the kind of its coordinate; other kinds are passed on as they are."""

Band = Literal["1", "2", "3", "4", "5a", "5b"]
Positive = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A part of a document: keys that no script uses are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Target(Part):
    """A source on the sky."""

    target_id: str
    name: str = ""
    reference_coordinate: dict[str, Any]

    @field_validator("reference_coordinate")
    @classmethod
    def _is_somewhere(cls, given: dict[str, Any]) -> dict[str, Any]:
        missing = [key for key in _COORDINATES.get(str(given.get("kind")), ()) if key not in given]
        if missing or not given:
            raise ValueError(
                f"a coordinate of kind {given.get('kind')!r} has {' and '.join(missing or ['a kind'])}"
            )
        return given


class ScanDefinition(Part):
    """One kind of scan; `duration` is in seconds."""

    scan_definition_id: str
    duration: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    target_ref: Annotated[str | None, Field(validation_alias=AliasChoices("target_ref", "target"))] = None
    dish_configuration_ref: Annotated[
        str | None, Field(validation_alias=AliasChoices("dish_configuration_ref", "dish_configuration"))
    ] = None
    csp_configuration_ref: Annotated[
        str | None, Field(validation_alias=AliasChoices("csp_configuration_ref", "csp_configuration"))
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _in_seconds(cls, given: Any) -> Any:
        return {**given, "duration": _duration(given)} if isinstance(given, dict) else given


def _duration(given: dict[str, Any]) -> Any:
    """Find how long a scan is: `scan_duration_ms`, or `scan_duration`, a quantity or again milliseconds."""
    duration = given.get("scan_duration_ms", given.get("scan_duration"))
    if isinstance(duration, dict):
        unit = duration.get("unit")
        if unit not in _SECONDS:
            raise ValueError(f"scan_duration.unit: one of {', '.join(_SECONDS)} is expected, not {unit!r}")
        return _seconds("scan_duration.value", duration.get("value"), _SECONDS[unit])
    return _seconds("scan_duration_ms", duration, _SECONDS["ms"])


def _seconds(path: str, number: Any, unit: float) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{path}: a number is expected, not {number!r}")  # noqa: TRY004 - what pydantic collects
    if not number > 0:
        raise ValueError(f"{path}: more than 0 is expected, not {number!r}")
    return number * unit


class DishAllocation(Part):
    """The dishes of an SB of SKA-Mid, and its scans."""

    dish_ids: Annotated[
        list[str], Field(min_length=1, validation_alias=AliasChoices("dish_ids", "receptor_ids"))
    ]
    scan_sequence: list[ScanDefinition] = []


class DishConfiguration(Part):
    """How dishes receive."""

    dish_configuration_id: str
    receiver_band: Band


class MidCorrelator(Part):
    """What the correlator of SKA-Mid is set to."""

    frequency_band: Band


class SpectralWindow(Part):
    """A part of the band that the correlator of SKA-Low processes."""

    number_of_channels: Positive


class LowCorrelator(Part):
    """What the correlator of SKA-Low is set to."""

    correlation_spws: list[SpectralWindow] = []


class CorrelatorConfiguration(Part):
    """How signals are correlated."""

    config_id: str
    midcbf: MidCorrelator | None = None
    lowcbf: LowCorrelator | None = None

    @property
    def band(self) -> Band | None:
        """The band of SKA-Mid that it uses."""
        return self.midcbf.frequency_band if self.midcbf else None

    @property
    def channels(self) -> int:
        """How many channels of SKA-Low it uses."""
        return sum(window.number_of_channels for window in self.lowcbf.correlation_spws) if self.lowcbf else 0


class Aperture(Part):
    """A station, or a part of one."""

    station_id: Positive
    substation_id: int = 1


class SubarrayBeam(Part):
    """A beam of SKA-Low, with its stations and its scans."""

    subarray_beam_id: Positive
    number_of_channels: Positive | None = None
    apertures: list[Aperture] = []
    scan_sequence: list[ScanDefinition] = []


class StationAllocation(Part):
    """The beams of an SB of SKA-Low, and in `selected_apertures` the stations of those that name none."""

    selected_apertures: list[Aperture] = []
    subarray_beams: Annotated[list[SubarrayBeam], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_stations(self) -> StationAllocation:
        for number, beam in enumerate(self.subarray_beams):
            if not self.stations(beam):
                raise ValueError(
                    f"subarray_beams.{number}.apertures: no station is named, nor in selected_apertures"
                )
        return self

    def stations(self, beam: SubarrayBeam) -> list[int]:
        """List the stations of a beam, each once."""
        apertures = beam.apertures or self.selected_apertures
        return list(dict.fromkeys(aperture.station_id for aperture in apertures))
