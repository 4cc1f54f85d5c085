"""The ODA: the one protocol of its stores, and the choice of a store by settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from pydantic import Field, SecretStr

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.oda.filesystem import FilesystemOda
from ska_oso_oet.oda.unavailable import UnavailableOda
from ska_oso_oet.user_directories import data_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
    from ska_oso_oet.oda.sbinstance import SBInstance


class Oda(Protocol):
    """A store of Scheduling Blocks. Safe to use from several threads.

    Any method raises OdaUnavailable while the store cannot be used, and works again by itself when it
    can. Calls may take as long as the disk or the network does, within the store's timeouts.
    """

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        """Read a version of an SBDefinition, without `version` its newest one.

        Raises SBDefinitionNotFound, or InvalidArgument naming the path of what is wrong in the document.
        """

    def list_sbds(self) -> list[SBDefinitionEntry]:
        """List the newest version of every SBDefinition, by id."""

    def add_sbd(self, sbd: SBDefinition, user: str) -> SBDefinition:
        """Store a document and return it as stored.

        A document that says its version is stored as it is, under that version; one that does not
        becomes the next version, with `user` as its author where it names none. Adding again what is
        stored already changes nothing. Raises SBAlreadyExists where another document has the version.
        """

    def get_sbi(self, sbi_id: str) -> SBInstance:
        """Read an SBInstance; raises SBInstanceNotFound."""

    def add_sbi(self, sbi: SBInstance, user: str) -> None:
        """Store a new SBInstance; raises SBAlreadyExists."""

    def check(self) -> None:
        """Return when the store can be read and written now; raises OdaUnavailable saying why not."""

    def close(self) -> None:
        """Let go of connections. The store must not be used afterwards."""


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
        given. Without a backend, a database that is named is used, unless a directory is named as well.
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
    """Find where each field is given, and its value; fields that are given nowhere are left out.

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


def oda_or_reason(environ: Mapping[str, str], **properties: Any) -> Oda:
    """Make the store that the settings name; one that says why where they cannot work."""
    try:
        return open_oda(OdaSettings.from_environment(environ, **properties))
    except InvalidArgument as error:
        return UnavailableOda(str(error))


def open_oda(settings: OdaSettings) -> Oda:
    """Make the store that `settings` name, without touching it: it may be down now and come up later.

    Raises InvalidArgument where the settings cannot work.
    """
    if settings.backend == "filesystem":
        return FilesystemOda(settings.directory)
    try:
        from ska_oso_oet.oda.postgres import PostgresOda, database_url  # noqa: PLC0415 - an optional extra

        return PostgresOda(database_url(settings))
    except ModuleNotFoundError as error:
        if error.name not in {"sqlalchemy", "psycopg"}:
            raise
        raise InvalidArgument(
            f"the postgres ODA needs {error.name}: install the extra 'db' (pip install 'ska-oso-oet[db]')"
        ) from None
