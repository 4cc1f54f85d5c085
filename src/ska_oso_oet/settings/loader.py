"""ServerSettings are read from device properties and the environment here, and refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServerSettings(BaseSettings):
    """The settings of a device server.

    A field is set by the device property of the same name in PascalCase, or else by the environment
    variable of the same name with the prefix of the class, or else has its default. Lists in the environment
    are separated by commas.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> Self:
        """Read the settings; `properties` are those device properties that are set, by field name.

        Raises InvalidArgument with a sentence that names each bad property or variable.
        """
        try:
            return cls(**properties)
        except ValidationError as error:
            faults = [
                f"{cls._place(str(fault['loc'][0]), properties)}: {fault['msg']} (got {fault['input']!r})"
                for fault in error.errors(include_url=False)
            ]
            raise InvalidArgument("; ".join(faults)) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the environment variable of a field."""
        return f"{cls.model_config['env_prefix']}{field.upper()}"

    @classmethod
    def _place(cls, field: str, properties: Mapping[str, Any]) -> str:
        if field in properties:
            return f"property {property_name(field)}"
        return f"environment variable {cls.variable(field)}"


def listed(value: Any) -> Any:
    """Split what comes from the environment; a property is a list already."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def property_name(field: str) -> str:
    """Turn the name of a field into that of the device property: stop_grace_period → StopGracePeriod."""
    return "".join(part.capitalize() for part in field.split("_"))
