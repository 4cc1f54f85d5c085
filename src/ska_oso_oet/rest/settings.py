"""RestSettings holds what the HTTP API can be configured with, and the defaults."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from ska_oso_oet.client import DEFAULT_DEVICE
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.settings import DEFAULT_MAX_REQUEST_BYTES, ServerSettings, listed

ENVIRONMENT_PREFIX = "OET_REST_"

EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
"""What stands for every address of this machine."""

Network = IPv4Network | IPv6Network | Literal["*"]


class RestSettings(ServerSettings):
    """What an OETRestAdapter can be set to (`ApiPrefix`, `OET_REST_API_PREFIX`)."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX)

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
        return listed(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return [item if item == "*" else ip_network(item) for item in listed(value)]

    @property
    def known_names(self) -> list[str]:
        """The names that requests may be for, besides localhost."""
        return [*self.host_names, socket.gethostname() if self.host in EVERYWHERE else self.host]

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
