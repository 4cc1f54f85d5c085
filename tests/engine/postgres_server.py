"""A real PostgreSQL of a test's own (pgserver brings the programs; they also run as root)."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class PostgresServer:
    """A server on a socket in a directory of its own. Who makes it closes it.

    Where there is none for this Python, tests that ask for a database are skipped. For the leak guard, a
    server for many tests is made by an autouse fixture, and a test that restarts one has one of its own.
    """

    def __init__(self) -> None:
        self._server: Any = None
        if importlib.util.find_spec("pgserver") is None:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a runtime directory that containers do not have
            pgserver: Any = importlib.import_module("pgserver")
        self._pg_ctl: Any = importlib.import_module("pgserver._commands").pg_ctl
        # Not in pytest's directory: every run of pytest closes that to the user that PostgreSQL runs as.
        self._directory = tempfile.TemporaryDirectory(prefix="oet-postgres-")
        self.data_dir = Path(self._directory.name) / "data"
        self._server = pgserver.get_server(self.data_dir)

    def close(self) -> None:
        if self._server is not None:
            self._server.cleanup()
            self._directory.cleanup()

    def require(self) -> None:
        if self._server is None:
            pytest.skip("pgserver has no wheel for this Python")

    def url(self, database: str = "postgres") -> str:
        return str(self._server.get_uri(database))

    def control(self, *arguments: str) -> None:
        self._pg_ctl(["-w", *arguments], pgdata=self.data_dir, user=self._server.system_user)

    def stop(self) -> None:
        self.control("-m", "fast", "stop")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def restart_as_after_a_crash(self) -> None:
        self.control("-m", "immediate", "stop")
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have the server neither answer nor fail, as one whose disk hangs."""
        first = psutil.Process(int((self.data_dir / "postmaster.pid").read_text().split()[0]))
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    @contextmanager
    def database(self, name: str = "oda") -> Iterator[str]:
        """An empty database, by its URL."""
        self.require()
        self._execute(f"CREATE DATABASE {name}")
        yield self.url(name)
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())
