"""The database of the history is an SQLite file or a PostgreSQL database, at the newest schema."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ska_oso_oet.database.postgres import (
    connect_arguments,
    name_of,
    postgres_url,
    read_url,
    reason_of,
    secrets_of,
)
from ska_oso_oet.errors import HistoryUnavailable, InvalidArgument
from ska_oso_oet.history.claim import FileClaim, claim_session, claimant
from ska_oso_oet.history.errors import HistoryTooNew
from ska_oso_oet.history.file import HistoryFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_log = logging.getLogger(__name__)
SCHEMA: Final = "0002"
"""The newest migration."""
_EARLIER: Final = frozenset({"0001"})
VERSION_TABLE: Final = "oet_history_version"
_SQLITE: Final = "sqlite"
_GONE: Final = "deleted or moved", "all that it had was written to a new one in its place"
_REPLACED: Final = (
    "replaced by another file",
    "what happens from now on is written there, what was before is not",
)
BUSY_SECS: Final = 1.0
"""How long a locked SQLite file is waited for."""

# Sooner than for the ODA, since queries of users wait for it.
_CONNECT_POSTGRES: Final = connect_arguments("ska-oso-oet history", connect=2, statement=5, lock=2)
# The server drops the connection of a machine that is gone, and with it the claim, as soon.
_KEEPALIVE: Final = " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"


def parse_url(text: str) -> sa.URL:
    """Read HistoryUrl: `sqlite:////absolute/path`, encoded as URLs are, or `postgresql://…`.

    Raises InvalidArgument.
    """
    postgres = postgres_url(text, "a history")
    if postgres is not None:
        return postgres
    url = read_url(text)
    if url.drivername == _SQLITE and url.database and Path(url.database).is_absolute() and "?" not in text:
        return url
    # The text is not repeated: it may hold a password.
    raise InvalidArgument(
        "HistoryUrl: expected sqlite:////absolute/path/of/a/file (with %25 for % and %3F for ?) or "
        "postgresql://user:password@host:port/database"
    )


class HistoryDatabase:
    """Connections to the history's database; made anew when it was away.

    Anybody may read; one process at a time may write, see `claim`.
    """

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._secrets = secrets_of(url)
        self._engine = _sqlite(url) if self.is_sqlite else _postgres(url)
        self._file_claim = FileClaim(Path(str(url.database))) if self.is_sqlite else None
        self._file = HistoryFile(Path(str(url.database))) if self.is_sqlite else None
        self.note: str | None = None
        """What became of the file, for an operator; None when nothing did, or they know it."""
        self._writer = self._engine if self.is_sqlite else _claiming_postgres(url)
        self._connected: WeakSet[Any] = WeakSet()
        self._abandoned = False
        if not self.is_sqlite:
            for engine in (self._engine, self._writer):
                sa.event.listen(engine, "connect", self._note)
        self.name = str(url.database) if self.is_sqlite else name_of(url)

    @property
    def is_sqlite(self) -> bool:
        """True for an SQLite file."""
        return self._url.get_backend_name() == _SQLITE

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """See one state of the database; errors are SQLAlchemy's."""
        return _transaction(self._engine)

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Do all or nothing of what is done with the connection; from one thread at a time.

        Errors are SQLAlchemy's, OSError, and HistoryInUse when another controller writes to the database.
        """
        if self._file_claim is not None:
            self._file_claim.acquire()
        return _transaction(self._writer)

    def upgrade(self) -> None:
        """Bring the tables to the newest schema; raises HistoryTooNew where theirs is unknown."""
        if self._file is not None:
            self._file.make()
        with self.writing() as connection:
            found = _schema_of(connection)
            if found is None or found in _EARLIER:
                _migrate(connection)
            elif found != SCHEMA:
                raise HistoryTooNew(
                    f"its schema is {found}, and this version of the OET knows {SCHEMA}: another wrote it, "
                    f"or the row of its table {VERSION_TABLE} is damaged; use the version that wrote it, or "
                    "another HistoryUrl, and Init"
                )
        if self._file is not None:
            self._file.hold()

    @property
    def file_is_lost(self) -> bool:
        """Whether the SQLite file was deleted, moved or replaced since it was opened."""
        return self._file is not None and self._file.is_lost

    def find_file_again(self) -> bool:
        """Have a file again after it was lost: a new one with all that it had, or the one in its place.

        Returns whether that is one of somebody else's, which is to be prepared like any other. Raises OSError
        and HistoryInUse.
        """
        file = self._file
        if file is None or self._file_claim is None:
            return False
        file.make_folder()
        self._file_claim.release()  # its file may have gone as well
        self._file_claim.acquire()
        replaced = file.is_there
        if replaced:
            file.leave_companions()
        else:
            file.write_again()
        self._engine.dispose()
        file.hold()
        what, then = _REPLACED if replaced else _GONE
        self.note = f"the history {self.name} was {what} while the controller runs; {then}"
        _log.error("%s", self.note)
        return replaced

    def unavailable(self, error: Exception, doing: str = "used") -> HistoryUnavailable:
        """Put a failure of the database into a sentence."""
        return HistoryUnavailable(
            f"the history {self.name} cannot be {doing}: {reason_of(error, self._secrets)}"
        )

    def frozen(self) -> HistoryDatabase:
        """Return the same database for reading, also where SQLite could not make its files beside it.

        Only where nobody has it open: what others write is not seen.
        """
        file = Path(str(self._url.database))
        if not self.is_sqlite or file.with_name(f"{file.name}-wal").exists():
            return self
        query = {"mode": "ro", "immutable": "1", "uri": "true"}
        return HistoryDatabase(self._url.set(database=file.as_uri().replace("file://", "file:"), query=query))

    def abandon(self) -> None:
        """Break all connections, for good: who waits for a server that hangs gets an error."""
        self._abandoned = True
        for connection in list(self._connected):
            # One that was closed meanwhile has no socket.
            with (
                suppress(OSError, self._engine.dialect.loaded_dbapi.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as wire,
            ):
                wire.shutdown(socket.SHUT_RDWR)

    def _note(self, connection: Any, _record: object) -> None:
        if self._abandoned:  # it was being made meanwhile
            connection.close()
            raise OSError("it has been given up")
        self._connected.add(connection)

    def close(self) -> None:
        """Close the connections, and let another controller write."""
        self._engine.dispose()
        self._writer.dispose()
        if self._file is not None:
            self._file.release()
        for connection in list(self._connected):
            connection.close()  # one that was in use until now is in no pool
        if self._file_claim is not None:
            self._file_claim.release()


@contextmanager
def _transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError:
        # A connection made while the file was read-only, or to a server that stopped, stays of no use.
        engine.dispose()
        raise


def _claiming_postgres(url: sa.URL) -> sa.Engine:
    """Make the engine whose only connection holds the claim: both are lost and regained together."""
    arguments = {
        **_CONNECT_POSTGRES,
        "options": _CONNECT_POSTGRES["options"] + _KEEPALIVE,
        "application_name": claimant(),
    }
    engine = sa.create_engine(
        url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=arguments
    )
    sa.event.listen(engine, "connect", lambda connection, _record: claim_session(connection))
    return engine


def _postgres(url: sa.URL) -> sa.Engine:
    return sa.create_engine(
        url,
        pool_size=2,
        max_overflow=4,
        pool_timeout=2,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=_CONNECT_POSTGRES,
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=2,
        max_overflow=4,
        pool_timeout=2,
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECS},
    )

    # The driver's own transactions leave out what changes tables; a migration must be done as a whole.
    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        with suppress(connection.OperationalError):  # read-only: it can be read all the same
            connection.execute("PRAGMA journal_mode=WAL")
        # With WAL a commit survives the death of this process; a power cut may cost the newest ones.
        connection.execute("PRAGMA synchronous=NORMAL")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _schema_of(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return str(connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")))  # noqa: S608 - a constant


def _migrate(connection: sa.Connection) -> None:
    # Imported where it is used: most starts find the newest schema.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # Alembic puts the values of its settings in the place of what follows a percent sign.
    migrations = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", migrations)
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA)
