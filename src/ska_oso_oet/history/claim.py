"""A claim keeps a second controller from writing to the database of another.

A second writer would record what the first has alive as lost, and use the same numbers again. So the writer
holds a lock that ends with its process, whatever ends it: `flock` on a file beside an SQLite database, and an
advisory lock of the session in PostgreSQL, which the server drops with the connection.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.errors import OetError
from ska_oso_oet.held_file import Held, HeldFile

if TYPE_CHECKING:
    from pathlib import Path

_KEY: Final = 0x6F6574_68697374
"""The advisory lock, in the database of its own that every controller has: `oethist` in ASCII."""
_APPLICATION: Final = "ska-oso-oet history, "
_TAKE: Final = "SELECT pg_advisory_lock(%s)"
_HOLDER: Final = """
    SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) = %s
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class HistoryInUse(OetError):
    """Another controller writes to the same database."""

    code = "OET_HistoryInUse"


def claimant() -> str:
    """Name this process as the holder of a history."""
    return f"{_APPLICATION}{platform.node()[:24]} pid {os.getpid()}"


class FileClaim:
    """The right to write to an SQLite file; held from the first `acquire` to `release`."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.lock")
        self._held: HeldFile | None = None

    def acquire(self) -> None:
        """Acquire it, if it is not held yet; raises HistoryInUse, or OSError where no such file can be."""
        if self._held is not None:
            return
        try:
            self._held = HeldFile(self._path, claimant())
        except Held as error:
            raise HistoryInUse(_in_use(str(error))) from None

    def release(self) -> None:
        """Release it."""
        held, self._held = self._held, None
        if held is not None:
            held.release()


def claim_session(connection: Any) -> None:
    """Make a new psycopg connection the one that may write; close it and raise HistoryInUse if it may not.

    It waits for as long as the session's lock_timeout allows: the server needs a moment to notice that the
    controller before this one has gone.
    """
    from psycopg.errors import LockNotAvailable  # noqa: PLC0415 - only an extra brings it

    with connection.cursor() as cursor:
        try:
            cursor.execute(_TAKE, (_KEY,))
        except LockNotAvailable:
            connection.rollback()
        else:
            connection.commit()
            return
        holder = cursor.execute(_HOLDER, (_KEY,)).fetchone()
    connection.close()
    raise HistoryInUse(_in_use(holder[0] if holder else "unknown"))


def _in_use(holder: str) -> str:
    return f"another controller writes to it ({holder.removeprefix(_APPLICATION)})"
