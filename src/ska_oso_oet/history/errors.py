"""The errors of the history are of the database, which may pass, or of the data."""

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
    """Return whether a failure is one of the database, which may pass, and not of the data."""
    if isinstance(error, DataError | IntegrityError):
        return False
    return isinstance(error, STORE_ERRORS)
