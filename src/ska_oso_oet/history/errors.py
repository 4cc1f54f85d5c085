"""What can be wrong with the history."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from ska_oso_oet.errors import OetError
from ska_oso_oet.history.claim import HistoryInUse


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
