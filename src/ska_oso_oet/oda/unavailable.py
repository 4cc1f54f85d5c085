"""UnavailableOda replaces a store that cannot be used: activities report why, and all else works."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ska_oso_oet.oda.errors import OdaUnavailable

if TYPE_CHECKING:
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.oda.sbinstance import SBInstance


class UnavailableOda:
    """A store that raises OdaUnavailable, with `reason`, whatever it is asked."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @property
    def name(self) -> str:
        """There is none."""
        return "none"

    def get_sbd(self, sbd_id: str, version: int | None = None) -> NoReturn:
        """Say why there is no store."""
        del sbd_id, version
        self.check()

    def list_sbds(self) -> NoReturn:
        """Say why there is no store."""
        self.check()

    def add_sbd(self, sbd: SBDefinition, user: str) -> NoReturn:
        """Say why there is no store."""
        del sbd, user
        self.check()

    def get_sbi(self, sbi_id: str) -> NoReturn:
        """Say why there is no store."""
        del sbi_id
        self.check()

    def list_sbis(self, sbd_id: str | None, limit: int, skipped: int = 0) -> NoReturn:
        """Say why there is no store."""
        del sbd_id, limit, skipped
        self.check()

    def add_sbi(self, sbi: SBInstance, user: str) -> NoReturn:
        """Say why there is no store."""
        del sbi, user
        self.check()

    def check(self) -> NoReturn:
        """Say why there is no store."""
        raise OdaUnavailable(self._reason)

    def close(self) -> None:
        """Nothing is held open."""
