"""OdaSettings name a store of Scheduling Blocks: a directory, or a database in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, SecretStr

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.user_directories import data_directory

if TYPE_CHECKING:
    from collections.abc import Mapping


class OdaSettings(Model):
    """Which store, and where.

    `url` is `postgresql://user:password@host:port/database`; `password` is used where it has none.
    """

    backend: Literal["filesystem", "postgres"] = "filesystem"
    data_dir: Path | None = None
    url: SecretStr | None = None
    host: str | None = None
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = "postgres"
    user: str = "postgres"
    password: SecretStr | None = None

    @property
    def directory(self) -> Path:
        """Where a store of files is: by default below the user's data; raises InvalidArgument."""
        return self.data_dir or data_directory("OdaDataDir (ODA_DATA_DIR)") / "oda"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **properties: Any) -> OdaSettings:
        """Combine the environment with device properties `backend`, `data_dir` and `url`; these win.

        Of the variables of a field (`VARIABLES`) the first that is set counts; empty values count as not
        set. Without a backend, a database that is named is used, unless a directory is named as well.
        Raises InvalidArgument.
        """
        found = sources(environ, properties)
        settings = {field: value for field, (_, value) in found.items()}
        _leave_out_rest(settings)
        if str(settings.get("port", "")).isdecimal():
            settings["port"] = int(settings["port"])
        if "data_dir" not in settings and settings.keys() & {"url", "host"}:
            settings.setdefault("backend", "postgres")
        try:
            return cls.parse(settings)
        except InvalidArgument as error:
            raise InvalidArgument(f"settings of the ODA: {error}") from None


VARIABLES: Final = {
    "backend": ("ODA_BACKEND_TYPE",),
    "data_dir": ("ODA_DATA_DIR",),
    "url": ("ODA_URL",),
    "host": ("POSTGRES_HOST", "PGHOST"),
    "port": ("POSTGRES_PORT", "PGPORT"),
    "database": ("POSTGRES_DB_NAME", "PGDATABASE"),
    "user": ("ADMIN_POSTGRES_USER", "PGUSER"),
    "password": ("ADMIN_POSTGRES_PASSWORD", "PGPASSWORD"),
}
"""The variables of each field, those of earlier releases of the SKA's ODA before those of libpq."""
_REST: Final = ("http://", "https://")
_NO_REST: Final = (
    "this OET reads the ODA's directory (filesystem) or its database (postgres), not its REST API"
)


def sources(environ: Mapping[str, str], properties: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Find where each field is set, and its value; fields that are set nowhere are left out.

    Of the places of a field the first counts: the device property (`"property"`), then its variables.
    """
    found: dict[str, tuple[str, Any]] = {}
    for field, variables in VARIABLES.items():
        places = [("property", properties.get(field)), *((name, environ.get(name)) for name in variables)]
        given = next(((place, value) for place, value in places if value), None)
        if given is not None:
            found[field] = given
    return found


def _leave_out_rest(settings: dict[str, Any]) -> None:
    """Take the URL of the ODA's REST API, which is for scripts, out of settings that can do without it.

    Raises InvalidArgument for settings that want the REST API itself.
    """
    backend = settings.get("backend")
    if backend == "rest":
        raise InvalidArgument(f"settings of the ODA: its backend cannot be rest: {_NO_REST}")
    if str(settings.get("url", "")).startswith(_REST):
        del settings["url"]
        if backend != "filesystem" and not settings.keys() & {"host", "data_dir"}:
            raise InvalidArgument(f"settings of the ODA: its URL cannot be http://…: {_NO_REST}")
