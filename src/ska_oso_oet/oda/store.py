"""The stores of Scheduling Blocks have one protocol, and settings choose one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda.filesystem import FilesystemOda
from ska_oso_oet.oda.settings import OdaSettings
from ska_oso_oet.oda.unavailable import UnavailableOda

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
    from ska_oso_oet.oda.sbinstance import SBInstance, SBInstanceEntry


class Oda(Protocol):
    """A store of Scheduling Blocks. Safe to use from several threads.

    Any method raises OdaUnavailable while the store cannot be used, and works again by itself when it
    can. A call lasts as long as the disk or the network needs, within the store's timeouts.
    """

    @property
    def name(self) -> str:
        """Which store this is, for people; without a password."""

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        """Read a version of an SBDefinition, without `version` its newest one.

        Raises SBDefinitionNotFound, or InvalidArgument naming the path of what is wrong in the document.
        """

    def list_sbds(self) -> list[SBDefinitionEntry]:
        """List the newest version of every SBDefinition, by id."""

    def add_sbd(self, sbd: SBDefinition, user: str) -> SBDefinition:
        """Store a document and return it as stored.

        A document that names its version is stored as it is, under that version; one that does not
        becomes the next version, with `user` as its author where it names none. Adding again what is
        stored already changes nothing. Raises SBAlreadyExists where another document has the version.
        """

    def get_sbi(self, sbi_id: str) -> SBInstance:
        """Read an SBInstance; raises SBInstanceNotFound."""

    def list_sbis(self, sbd_id: str | None, limit: int, skipped: int = 0) -> list[SBInstanceEntry]:
        """List SBInstances, newest first: `limit` after those that are `skipped`.

        With `sbd_id` only those of that SBDefinition.
        """

    def add_sbi(self, sbi: SBInstance, user: str) -> None:
        """Store a new SBInstance; raises SBAlreadyExists."""

    def check(self) -> None:
        """Return when the store can be read and written now; raises OdaUnavailable saying why not."""

    def close(self) -> None:
        """Let go of connections. The store must not be used afterwards."""


def oda_or_reason(environ: Mapping[str, str], **properties: Any) -> Oda:
    """Make the store that the settings name, or an UnavailableOda with the reason where that cannot work."""
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
    # SQLAlchemy takes a while to load, and a store of files needs none.
    from ska_oso_oet.oda.postgres import PostgresOda, database_url  # noqa: PLC0415

    return PostgresOda(database_url(settings))
