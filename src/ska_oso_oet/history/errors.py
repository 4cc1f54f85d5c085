"""What can be wrong with the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from ska_oso_oet.errors import OetError
from ska_oso_oet.history.claim import HistoryInUse

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_REASON: Final = 300


class HistoryTooNew(OetError):
    """The database has a schema that this version of the OET does not know."""

    code = "OET_HistoryTooNew"


STORE_ERRORS: Final = (SQLAlchemyError, OSError, HistoryInUse, HistoryTooNew)
"""What a use of the database may raise."""


def is_of_the_store(error: Exception) -> bool:
    """Tell a failure of the database, which may pass, from one of the data that it was given."""
    if isinstance(error, DataError | IntegrityError):
        return False
    return isinstance(error, STORE_ERRORS)


def reason_of(error: Exception, secrets: Iterable[str] = ()) -> str:
    """Say in one line what the driver says, without the statement, its parameters and secrets."""
    if isinstance(error, OetError):
        return str(error)
    text = str(error.orig) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    for secret in secrets:
        line = line.replace(secret, "***")
    return line[:_MAX_REASON]
