"""ControllerSettings holds what a controller can be configured with, and the defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from ska_oso_oet.database.file_url import file_of, file_url
from ska_oso_oet.procedure.exclusivity import Exclusivity
from ska_oso_oet.procedure.subarrays import COUNT, EVERY, Subarrays
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.settings.loader import ServerSettings, listed
from ska_oso_oet.user_directories import cache_directory, data_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_PREFIX = "OET_"
SUBARRAY_VARIABLE = "SUBARRAY_ID"
MAX_SUBARRAYS = 1000

DEFAULT_MAX_REQUEST_BYTES: Final = 1024 * 1024
"""Bytes of the largest request that is taken, at every door, unless a setting says otherwise."""
MOST_REQUEST_BYTES: Final = 32 * 1024 * 1024
"""What may be set at most: half of what can be sent to a worker."""

DEFAULT_LIST_LENGTH: Final = 10
"""Procedures, and activities, that are listed once they have ended, unless a setting says otherwise."""

_SCAN_IDS: Final = "scan-ids"
_Names = Annotated[list[str], NoDecode]


def default_script_roots() -> list[Path]:
    """Name the directories of scripts that are allowed when none are configured.

    Those are the installed observing scripts, and the directory in SCRIPTS_LOCATION if it is set.
    """
    location = os.environ.get("SCRIPTS_LOCATION")
    return [scripts_dir(), *([Path(location)] if location else [])]


def default_environments_dir() -> Path:
    """Name the directory of clones and environments where none is configured."""
    return cache_directory("EnvironmentsDir (OET_ENVIRONMENTS_DIR)")


def default_subarrays() -> Any:
    """Name the subarrays that may be commanded when none are configured.

    That is the one in SUBARRAY_ID, which is set where each subarray has a controller of its own; else all.
    """
    return os.environ.get(SUBARRAY_VARIABLE) or EVERY


def _earlier_name_of_list_length(settings: dict[str, Any]) -> Any:
    return settings.get("history_length", DEFAULT_LIST_LENGTH)


class ControllerSettings(ServerSettings):
    """What an OETController can be set to (`StopGracePeriod`, `OET_STOP_GRACE_PERIOD`); times in seconds."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX)

    script_roots: Annotated[list[Path], NoDecode] = Field(default_factory=default_script_roots)
    git_repositories: _Names = Field(default_factory=lambda: ["https://gitlab.com/ska-telescope/"])
    embedded_scripts: Literal["refused", "allowed"] = "refused"
    abort_script: str = Field(default_factory=(scripts_dir() / "abort.py").as_uri)
    abort_timeout: float = Field(60.0, gt=0, allow_inf_nan=False)
    exclusivity: Exclusivity = Exclusivity.SUBARRAY
    max_ready_procedures: int = Field(50, ge=1)
    subarray_count: int = Field(COUNT, ge=1, le=MAX_SUBARRAYS)
    subarrays: Annotated[Subarrays, NoDecode] = Field(
        default_factory=default_subarrays, validate_default=True
    )
    history_length: int = Field(DEFAULT_LIST_LENGTH, ge=0)
    list_length: int = Field(default_factory=_earlier_name_of_list_length, ge=0)
    event_journal_length: int = Field(10_000, ge=1)
    max_request_bytes: int = Field(DEFAULT_MAX_REQUEST_BYTES, ge=1024, le=MOST_REQUEST_BYTES)
    stop_grace_period: float = Field(2.0, ge=0, allow_inf_nan=False)
    exit_timeout: float = Field(10.0, ge=0, allow_inf_nan=False)
    abort_on_shutdown: bool = False
    environment_timeout: float = Field(600.0, gt=0, allow_inf_nan=False)

    worker_memory: float | None = Field(None, gt=0, allow_inf_nan=False)
    worker_processes: int | None = Field(None, ge=1)
    worker_cgroups: Annotated[list[Path], NoDecode] = Field(default_factory=list)

    secret_variables: _Names = Field(default_factory=list)
    environments_dir: Path = Field(default_factory=default_environments_dir)
    max_idle_environments: int = Field(5, ge=0)

    monitored_devices: _Names = Field(default_factory=list)
    critical_components: _Names = Field(default_factory=lambda: ["fork server", "event pump"])
    history_url: str | None = None
    scan_id_file: Path | None = None

    oda_backend: str | None = None
    oda_data_dir: Path | None = None
    oda_url: str | None = None

    @field_validator(
        "script_roots",
        "git_repositories",
        "monitored_devices",
        "critical_components",
        "worker_cgroups",
        "secret_variables",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return listed(value)

    @field_validator("subarrays", mode="before")
    @classmethod
    def _read_subarrays(cls, value: Any, info: ValidationInfo) -> Any:
        return (
            Subarrays.read(value, info.data.get("subarray_count", COUNT)) if isinstance(value, str) else value
        )

    @field_validator("abort_script")
    @classmethod
    def _is_file(cls, uri: str) -> str:
        if uri and not uri.startswith("file:///"):
            raise ValueError("a file:/// URI is expected, or nothing for no abort script")
        return uri

    @field_validator("scan_id_file", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("scan_id_file")
    @classmethod
    def _is_absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError("an absolute path is expected")
        return path

    @field_validator("script_roots")
    @classmethod
    def _absolute(cls, roots: list[Path]) -> list[Path]:
        for root in roots:
            if not root.is_absolute():
                raise ValueError(f"{root} is no absolute path")
        return roots

    @classmethod
    def _place(cls, field: str, properties: Mapping[str, Any]) -> str:
        if field == "subarrays" and field not in properties and cls.variable(field) not in os.environ:
            return f"environment variable {SUBARRAY_VARIABLE}"
        return super()._place(field, properties)


def default_history_url(device_name: str) -> str:
    """Name the database of a controller's history where none is configured: a file of its user's."""
    directory = data_directory("HistoryUrl (OET_HISTORY_URL)") / device_name
    return file_url(directory / "history.db")


def default_scan_id_file(history_url: str) -> Path:
    """Name the file that counts scan IDs where none is configured: the same for all who go on with a history.

    It is beside a history that is a file, else among the user's data. Raises InvalidArgument.
    """
    if (path := file_of(history_url)) is not None:
        return path.with_name(_SCAN_IDS)
    return data_directory("ScanIdFile (OET_SCAN_ID_FILE)") / _SCAN_IDS
