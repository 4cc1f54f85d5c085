"""PostgresOda keeps Scheduling Blocks in the tables of the SKA's ODA (needs the extra `db`)."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DataError, SQLAlchemyError

from ska_oso_oet.database.postgres import connect_arguments, name_of, postgres_url, reason_of, secrets_of
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda.document import require_id
from ska_oso_oet.oda.errors import OdaUnavailable, SBAlreadyExists, SBDefinitionNotFound, SBInstanceNotFound
from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
from ska_oso_oet.oda.sbinstance import SBInstance, SBInstanceEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ska_oso_oet.oda.settings import OdaSettings

_TABLES: Final = sa.MetaData()


def _table(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(
        name,
        _TABLES,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("info", JSONB, nullable=False),
        sa.Column("sbd_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_on", sa.TIMESTAMP, nullable=False),
        sa.Column("last_modified_on", sa.TIMESTAMP, nullable=False),
        sa.Column("last_modified_by", sa.Text, nullable=False),
        *columns,
    )


_SBD: Final = _table("tab_oda_sbd", sa.UniqueConstraint("sbd_id", "version"))
_SBI: Final = _table(
    "tab_oda_sbi",
    sa.Column("sbd_version", sa.Integer, nullable=False),
    sa.Column("sbi_id", sa.Text, nullable=False),
    sa.UniqueConstraint("sbi_id", "version"),
)

_CONNECT: Final = connect_arguments("ska-oso-oet", connect=5, statement=10, lock=5)
_SCHEMA_LOCK: Final = "ska-oso-oet schema"


def database_url(settings: OdaSettings) -> sa.URL:
    """Combine `url`, or host, port, database and user, with the password. Raises InvalidArgument."""
    password = settings.password.get_secret_value() if settings.password else None
    if settings.url is None and not settings.host:
        raise InvalidArgument("the postgres ODA needs a host: set OdaUrl or POSTGRES_HOST")
    given = (
        settings.url.get_secret_value()
        if settings.url is not None
        else sa.URL.create(
            "postgresql", settings.user, password, settings.host, settings.port, settings.database
        )
    )
    url = postgres_url(given, "an ODA")
    if url is None:
        # The text is not repeated in the error: it may hold a password.
        raise InvalidArgument("OdaUrl: expected postgresql://user:password@host:port/database")
    return url.set(password=password) if url.password is None and password else url


class PostgresOda:
    """The ODA in a PostgreSQL database. Connections are pooled, and made anew when the server restarted.

    Tables are created when absent. Times in columns are UTC.
    """

    def __init__(self, url: sa.URL, clock: Callable[[], float] = time.time) -> None:
        self._engine = sa.create_engine(
            url,
            pool_size=4,
            max_overflow=12,
            pool_timeout=10,
            pool_pre_ping=True,
            pool_recycle=1800,
            hide_parameters=True,
            connect_args=_CONNECT,
        )
        self._name = name_of(url)
        self._secrets = secrets_of(url)
        self._place = f"database {url.database} at {url.host or url.query.get('host')}:{url.port or 5432}"
        self._clock = clock
        self._tables_seen = False

    def __repr__(self) -> str:
        return f"PostgresOda({self._name})"

    @property
    def name(self) -> str:
        """Which database this is, without user and password."""
        return self._place

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        """Read a version of an SBDefinition, without `version` its newest one."""
        require_id("sbd_id", sbd_id)
        with self._transaction() as connection:
            newest = _newest(connection, sbd_id)
            if newest is None:
                raise SBDefinitionNotFound(f"the ODA has no SBDefinition {sbd_id}")
            wanted = newest if version is None else version
            document = _read(connection, sbd_id, wanted)
            if document is None:
                raise SBDefinitionNotFound(f"{sbd_id} has no version {wanted}; the newest is {newest}")
        return SBDefinition.stored_as(sbd_id, wanted, document)

    def list_sbds(self) -> list[SBDefinitionEntry]:
        """List the newest version of every SBDefinition, by id."""
        parts = sa.func.jsonb_build_object(
            "telescope", _SBD.c.info["telescope"], "activities", _SBD.c.info["activities"]
        )
        newest = sa.select(_SBD.c.sbd_id, sa.func.max(_SBD.c.version)).group_by(_SBD.c.sbd_id)
        query = sa.select(_SBD.c.sbd_id, _SBD.c.version, parts).where(
            sa.tuple_(_SBD.c.sbd_id, _SBD.c.version).in_(newest)
        )
        with self._transaction() as connection:
            entries = [SBDefinitionEntry.of(*row) for row in connection.execute(query)]
        return sorted(entries, key=lambda entry: entry.sbd_id)  # collations differ between databases

    def add_sbd(self, sbd: SBDefinition, user: str) -> SBDefinition:
        """Store a document under the version that it names, or as the next one."""
        with self._transaction() as connection:
            # One SBDefinition has one writer at a time, also where an older table has no unique constraint.
            _lock(connection, f"sbd {sbd.sbd_id}")
            if sbd.version is None:
                number = (_newest(connection, sbd.sbd_id) or 0) + 1
                sbd = sbd.stamped(number, user, self._clock())
            else:
                number = sbd.version
                stored = _read(connection, sbd.sbd_id, number)
                if stored is not None and stored != sbd.to_dict():
                    raise SBAlreadyExists(f"another document is stored as {sbd.sbd_id} version {number}")
                if stored is not None:
                    return sbd
            user = sbd.metadata.created_by or user
            connection.execute(
                _SBD.insert(), {"sbd_id": sbd.sbd_id, **self._row(sbd.to_dict(), number, user)}
            )
        return sbd

    def get_sbi(self, sbi_id: str) -> SBInstance:
        """Read an SBInstance."""
        require_id("sbi_id", sbi_id)
        query = sa.select(_SBI.c.info).where(_SBI.c.sbi_id == sbi_id).order_by(_SBI.c.version.desc()).limit(1)
        with self._transaction() as connection:
            document = connection.execute(query).scalar()
        if document is None:
            raise SBInstanceNotFound(f"the ODA has no SBInstance {sbi_id}")
        return SBInstance.parse(document)

    def list_sbis(self, sbd_id: str | None, limit: int, skipped: int = 0) -> list[SBInstanceEntry]:
        """List SBInstances, newest first."""
        query = sa.select(_SBI.c.sbi_id, _SBI.c.info).order_by(_SBI.c.id.desc()).limit(limit).offset(skipped)
        if sbd_id is not None:
            query = query.where(_SBI.c.sbd_id == sbd_id)
        with self._transaction() as connection:
            return [SBInstanceEntry.of(*row) for row in connection.execute(query)]

    def add_sbi(self, sbi: SBInstance, user: str) -> None:
        """Store a new SBInstance."""
        keys = {"sbi_id": sbi.sbi_id, "sbd_id": sbi.sbd_ref, "sbd_version": sbi.sbd_version}
        with self._transaction() as connection:
            _lock(connection, f"sbi {sbi.sbi_id}")
            if connection.execute(sa.select(_SBI.c.id).where(_SBI.c.sbi_id == sbi.sbi_id)).first():
                raise SBAlreadyExists(f"the ODA has an SBInstance {sbi.sbi_id} already")
            connection.execute(_SBI.insert(), {**keys, **self._row(sbi.to_dict(), 1, user)})

    def check(self) -> None:
        """Connect to the server, and check that the tables can be read and written."""
        with self._transaction() as connection:
            connection.execute(sa.select(_SBD.c.id).limit(1))
            if connection.scalar(sa.text("SHOW transaction_read_only")) == "on":
                raise OdaUnavailable(f"the ODA {self._name} is read-only")

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def _row(self, document: dict[str, Any], version: int, user: str) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return {
            "info": document,
            "version": version,
            "created_by": user,
            "created_on": now,
            "last_modified_by": user,
            "last_modified_on": now,
        }

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                if not self._tables_seen:
                    _lock(connection, _SCHEMA_LOCK)
                    _TABLES.create_all(connection)
                yield connection
            self._tables_seen = True
        except DataError as error:
            raise InvalidArgument(f"the ODA cannot store this: {reason_of(error, self._secrets)}") from None
        except SQLAlchemyError as error:
            self._tables_seen = False  # someone may have dropped them
            raise OdaUnavailable(
                f"the ODA {self._name} cannot be used: {reason_of(error, self._secrets)}"
            ) from None


def _lock(connection: sa.Connection, what: str) -> None:
    """Wait for our turn to write `what`; the turn ends with the transaction."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, 0))))


def _newest(connection: sa.Connection, sbd_id: str) -> int | None:
    return connection.execute(sa.select(sa.func.max(_SBD.c.version)).where(_SBD.c.sbd_id == sbd_id)).scalar()


def _read(connection: sa.Connection, sbd_id: str, version: int) -> dict[str, Any] | None:
    query = sa.select(_SBD.c.info).where(_SBD.c.sbd_id == sbd_id, _SBD.c.version == version)
    return connection.execute(query.order_by(_SBD.c.id.desc()).limit(1)).scalar()
