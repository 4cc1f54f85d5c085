"""Settings of the HTTP API: device properties of OETRestAdapter and environment variables."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ska_oso_oet.client import DEFAULT_DEVICE
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.settings import DEFAULT_MAX_REQUEST_BYTES, property_name

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "OET_REST_"

EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
"""What stands for every address of this machine."""

Network = IPv4Network | IPv6Network | Literal["*"]


class RestSettings(BaseSettings):
    """What an OETRestAdapter can be told at its start.

    A field is given by the device property of the same name in PascalCase, or else by the environment
    variable of the same name with the prefix OET_REST_ (`ApiPrefix`, `OET_REST_API_PREFIX`), or else has its
    default. Lists in the environment are separated by commas.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

    controller_name: str = Field(DEFAULT_DEVICE, min_length=1)
    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(5000, ge=0, le=65535)
    api_prefix: str = Field("/api/v1.0", pattern=r"^(/[A-Za-z0-9._~-]+)+$")
    token_file: Path | None = None
    cors_origins: Annotated[list[str], NoDecode] = Field(default_factory=list)
    trusted_proxies: Annotated[list[Network], NoDecode] = Field(default_factory=list)
    host_names: Annotated[list[str], NoDecode] = Field(default_factory=list)
    max_connections: int = Field(1000, ge=2)
    max_request_bytes: int = Field(DEFAULT_MAX_REQUEST_BYTES, ge=1)

    @field_validator("cors_origins", "host_names", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        return _listed(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return [item if item == "*" else ip_network(item) for item in _listed(value)]

    @property
    def known_names(self) -> list[str]:
        """The names that requests may be for, besides localhost."""
        return [*self.host_names, socket.gethostname() if self.host in EVERYWHERE else self.host]

    @classmethod
    def load(cls, properties: Mapping[str, Any]) -> RestSettings:
        """Read the settings; `properties` are those device properties that are set, by field name.

        Raises InvalidArgument with a sentence that names each bad property or variable.
        """
        try:
            return cls(**properties)
        except ValidationError as error:
            faults = [
                f"{_name(str(fault['loc'][0]), properties)}: {fault['msg']} (got {fault['input']!r})"
                for fault in error.errors(include_url=False)
            ]
            raise InvalidArgument("; ".join(faults)) from None

    def token(self) -> bytes | None:
        """Read the token that requests have to show; None when none is asked for.

        Raises InvalidArgument for a file that cannot be read or has no token.
        """
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_bytes().strip()
        except OSError as error:
            raise InvalidArgument(f"property TokenFile: {self.token_file}: {error.strerror}") from None
        if not token:
            raise InvalidArgument(f"property TokenFile: {self.token_file} is empty")
        return token


def _listed(value: Any) -> Any:
    """Split what comes from the environment; a property is a list already."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _name(field: str, properties: Mapping[str, Any]) -> str:
    if field in properties:
        return f"property {property_name(field)}"
    return f"environment variable {ENVIRONMENT_PREFIX}{field.upper()}"
