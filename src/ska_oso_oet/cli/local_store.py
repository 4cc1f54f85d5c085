"""This process opens a store of Scheduling Blocks itself, where there is no controller."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ska_oso_oet.oda import Oda, OdaSettings, SBDefinition
from ska_oso_oet.oda.desk import SBDefinitionList, SBInstanceList, StoredSBDefinition, StoredSBInstance
from ska_oso_oet.user_directories import absolute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ska_oso_oet.oda.desk import SBInstancesQuery


class LocalStore:
    """The calls of OETClient about Scheduling Blocks, on a store that is open."""

    def __init__(self, oda: Oda) -> None:
        self._oda = oda

    def add_sbd(
        self, document: SBDefinition | str | bytes | Mapping[str, Any], author: str | None = None
    ) -> StoredSBDefinition:
        """Store an SBDefinition."""
        sbd = document if isinstance(document, SBDefinition) else SBDefinition.submitted(document)
        return StoredSBDefinition(oda=self._oda.name, sbd=self._oda.add_sbd(sbd, author or "unknown"))

    def list_sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""
        return SBDefinitionList(oda=self._oda.name, sbds=tuple(self._oda.list_sbds()))

    def sbd(self, sbd_id: str, version: int | None = None) -> StoredSBDefinition:
        """Read an SBDefinition."""
        return StoredSBDefinition(oda=self._oda.name, sbd=self._oda.get_sbd(sbd_id, version))

    def list_sbis(self, query: SBInstancesQuery) -> SBInstanceList:
        """List SBInstances, newest first."""
        first = (query.page - 1) * query.limit
        found = self._oda.list_sbis(query.sbd_id, query.limit, first)
        return SBInstanceList(oda=self._oda.name, sbis=tuple(found))

    def sbi(self, sbi_id: str) -> StoredSBInstance:
        """Read an SBInstance."""
        return StoredSBInstance(oda=self._oda.name, sbi=self._oda.get_sbi(sbi_id))


def oda_settings(data_dir: Path | None) -> OdaSettings:
    """Find the store: that of a stack's data directory, or else the one that the environment names.

    The variables are those that the controller reads: OET_ODA_BACKEND, OET_ODA_DATA_DIR and OET_ODA_URL stand
    for its device properties and win over ODA_* and POSTGRES_*.
    """
    if data_dir is not None:
        return OdaSettings(data_dir=absolute(data_dir) / "oda")
    properties = {
        field: os.environ.get(f"OET_ODA_{field.upper()}") for field in ("backend", "data_dir", "url")
    }
    return OdaSettings.from_environment(os.environ, **properties)
