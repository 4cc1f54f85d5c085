"""OdaDesk does what a controller's clients ask of its ODA, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import Field

from ska_oso_oet.models import Model
from ska_oso_oet.oda.document import Identifier, Version
from ska_oso_oet.oda.errors import OdaUnavailable
from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
from ska_oso_oet.oda.sbinstance import SBInstance, SBInstanceEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.oda.store import Oda

T = TypeVar("T")

ASK_SECS: Final = 2.0
"""For which who asks may be kept waiting: a Tango device that waits for 3.2 s is of no use to anyone else."""
_THREADS: Final = 4
MAX_LIMIT: Final = 1000


class SBDefinitionQuery(Model):
    """Which SBDefinition is asked for; without `version` its newest one."""

    sbd_id: Identifier
    version: Version | None = None


class SBInstancesQuery(Model):
    """Which SBInstances are asked for, newest first: all, or those of an SBDefinition; a page at a time."""

    sbd_id: Identifier | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 50
    page: Annotated[int, Field(ge=1, le=2**31)] = 1


class SBInstanceQuery(Model):
    """Which SBInstance is asked for."""

    sbi_id: Identifier


class SBDefinitionList(Model):
    """The newest version of every SBDefinition, and the name of the store that has them."""

    oda: str
    sbds: tuple[SBDefinitionEntry, ...]


class StoredSBDefinition(Model):
    """An SBDefinition as it is stored, and the name of the store that has it."""

    oda: str
    sbd: SBDefinition


class SBInstanceList(Model):
    """SBInstances, newest first, and the name of the store that has them."""

    oda: str
    sbis: tuple[SBInstanceEntry, ...]


class StoredSBInstance(Model):
    """An SBInstance as it is stored, and the name of the store that has it."""

    oda: str
    sbi: SBInstance


class OdaDesk:
    """Asks the ODA on threads of its own: each result comes within ASK_SECS, or OdaUnavailable is raised.

    The request is not undone then: a document may still be stored.
    """

    def __init__(self, oda: Oda, within: float = ASK_SECS) -> None:
        self._oda = oda
        self._within = within
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="oda-desk")

    def add_sbd(self, sbd: SBDefinition, user: str) -> StoredSBDefinition:
        """Store a document, as Oda.add_sbd does."""
        return StoredSBDefinition(oda=self._oda.name, sbd=self._ask(lambda: self._oda.add_sbd(sbd, user)))

    def sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""
        return SBDefinitionList(oda=self._oda.name, sbds=tuple(self._ask(self._oda.list_sbds)))

    def sbd(self, query: SBDefinitionQuery) -> StoredSBDefinition:
        """Read an SBDefinition."""
        found = self._ask(lambda: self._oda.get_sbd(query.sbd_id, query.version))
        return StoredSBDefinition(oda=self._oda.name, sbd=found)

    def sbis(self, query: SBInstancesQuery) -> SBInstanceList:
        """List SBInstances, newest first."""
        first = (query.page - 1) * query.limit
        found = self._ask(lambda: self._oda.list_sbis(query.sbd_id, query.limit, first))
        return SBInstanceList(oda=self._oda.name, sbis=tuple(found))

    def sbi(self, query: SBInstanceQuery) -> StoredSBInstance:
        """Read an SBInstance."""
        return StoredSBInstance(oda=self._oda.name, sbi=self._ask(lambda: self._oda.get_sbi(query.sbi_id)))

    def close(self) -> None:
        """End the threads; waits for calls that are under way, as long as the store's timeouts allow."""
        self._pool.shutdown(cancel_futures=True)

    def _ask(self, call: Callable[[], T]) -> T:
        asked = self._pool.submit(call)
        try:
            return asked.result(self._within)
        except FutureTimeoutError:
            raise OdaUnavailable(
                f"the ODA ({self._oda.name}) has not answered within {self._within:g} s"
            ) from None
