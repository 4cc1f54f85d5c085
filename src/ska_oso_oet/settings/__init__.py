"""ServerSettings of the device servers come from device properties and environment variables."""

from ska_oso_oet.settings.controller import (
    DEFAULT_MAX_REQUEST_BYTES,
    MOST_REQUEST_BYTES,
    ControllerSettings,
    default_history_url,
    default_scan_id_file,
)
from ska_oso_oet.settings.loader import ServerSettings, listed, property_name

__all__ = [
    "DEFAULT_MAX_REQUEST_BYTES",
    "MOST_REQUEST_BYTES",
    "ControllerSettings",
    "ServerSettings",
    "default_history_url",
    "default_scan_id_file",
    "listed",
    "property_name",
]
