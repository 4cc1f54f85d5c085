"""The JSON of the controller itself has how it fares, and its settings."""

from __future__ import annotations

from pydantic import JsonValue

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import ProcedureState


class HeldSubarray(Model):
    """Which procedure holds a subarray; all of them where `subarray_id` is null."""

    subarray_id: int | None
    procedure_id: int
    state: ProcedureState


class Status(Model):
    """How the controller fares; `devices` has which of those that its health depends on reply."""

    device: str
    state: str
    status: str
    admin_mode: str
    ready: bool
    why_not_ready: str | None
    health_state: str
    health_info: dict[str, list[str]]
    versions: dict[str, str]
    subarrays: list[HeldSubarray]
    procedures: dict[str, int]
    activities: dict[str, int]
    devices: dict[str, bool]


class Setting(Model):
    """A setting in effect; `source` is `property`, the name of an environment variable, or `default`."""

    name: str
    value: JsonValue
    source: str


class Settings(Model):
    """The settings in effect, and what was set in vain."""

    settings: list[Setting]
    warnings: list[str]
