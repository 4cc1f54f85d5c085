"""Stores reach PostgreSQL in the same way: one form of URL, no connection that hangs, no secret shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from ska_oso_oet.errors import InvalidArgument, OetError

if TYPE_CHECKING:
    from collections.abc import Iterable

_DRIVER: Final = "postgresql+psycopg"
_NAMES: Final = frozenset({"postgres", "postgresql", _DRIVER})
_MAX_REASON: Final = 300


def read_url(text: str | sa.URL) -> sa.URL:
    """Read the URL of any database; what is no URL is read as one of a database that nothing knows."""
    try:
        return sa.make_url(text)
    except (ArgumentError, ValueError):
        return sa.URL.create("none")


def postgres_url(text: str | sa.URL, whose: str) -> sa.URL | None:
    """Read `postgresql://…`, in any of its spellings; None for what is none.

    Raises InvalidArgument, in the name of `whose` store it is, where the driver is not installed.
    """
    url = read_url(text)
    if url.drivername not in _NAMES:
        return None
    try:
        import psycopg  # noqa: F401, PLC0415 - an optional extra
    except ModuleNotFoundError:
        raise InvalidArgument(
            f"{whose} in PostgreSQL needs psycopg: install the extra db (pip install 'ska-oso-oet[db]')"
        ) from None
    return url.set(drivername=_DRIVER)


def connect_arguments(application: str, *, connect: int, statement: int, lock: int) -> dict[str, Any]:
    """Return the arguments of a connection that is closed when it hangs; times are in seconds.

    The server ends statements and waits for locks; the client's kernel ends a connection to a lost machine
    (keepalives for reading, the user timeout for writing).
    """
    return {
        "connect_timeout": connect,
        "options": (
            f"-c statement_timeout={statement}s -c lock_timeout={lock}s"
            " -c idle_in_transaction_session_timeout=30s"
        ),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": statement * 1000,
        "application_name": application,
    }


def name_of(url: sa.URL) -> str:
    """Name a database without its password: `user@host:port/database`."""
    return f"{url.username}@{url.host or url.query.get('host')}:{url.port or 5432}/{url.database}"


def secrets_of(url: sa.URL) -> list[str]:
    """Return the passwords of a URL, which no reason may show."""
    return [str(text) for text in (url.password, url.query.get("password")) if text]


def reason_of(error: Exception, secrets: Iterable[str] = ()) -> str:
    """Put into one line what the driver reports, without the statement, its parameters and secrets."""
    if isinstance(error, OetError):
        return str(error)
    text = str(error.orig) if isinstance(error, DBAPIError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    for secret in secrets:
        line = line.replace(secret, "***")
    return line[:_MAX_REASON]
