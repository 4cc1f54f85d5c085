"""The history when its database is read-only, full, locked or away: nothing is lost, nobody waits."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.history.queries import HistoryQuery, PruneQuery
from ska_oso_oet.procedure.domain import ProcedureState
from tests.engine.history_rig import DEADLINE, Rig
from tests.engine.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

S = ProcedureState


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    running.require()
    yield running
    running.close()


@pytest.fixture
def start(server_or_none: None) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def begin(url: str, epoch: str = "run-1", **options: Any) -> Rig:
        rigs.append(Rig(url, epoch, **options))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.close()


@pytest.fixture
def server_or_none(request: pytest.FixtureRequest) -> None:
    """Have a test's server outlive its controllers."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server")


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/history.db"


def wait_for_problem(rig: Rig, *parts: str) -> str:
    """Wait until the health tells of a problem in these words."""
    while True:
        message = rig.health.get(timeout=DEADLINE)
        if message is not None and all(part in message for part in parts):
            return message


def wait_for_health(rig: Rig) -> None:
    while rig.health.get(timeout=DEADLINE) is not None:
        pass


def total(rig: Rig) -> int:
    return int(json.loads(rig.history.list(HistoryQuery()))["total"])


def all_is_there(rig: Rig, count: int) -> None:
    """Check that `count` procedures are stored with every event of their lives."""
    rig.flush()
    assert total(rig) == count
    first = rig.history.first_procedure_id
    for number in (first, first + count - 1):
        assert len(rig.events(number)) == 13
    assert rig.history.health() is None


@contextmanager
def mounted(*arguments: str, at: Path) -> Iterator[None]:
    if subprocess.run(["mount", *arguments, str(at)], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb") as stream, contextlib.suppress(OSError):
        while True:
            os.write(stream.fileno(), bytes(4096))


def test_a_locked_file(start: Callable[..., Rig], tmp_path: Path) -> None:
    rig = start(sqlite_url(tmp_path))
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(20):
        rig.run()
    rig.dispatch()
    assert "locked" in wait_for_problem(rig, "wait in memory")
    # What has not been stored is still answered.
    assert json.loads(rig.history.describe_procedure(7))["state"] == "COMPLETE"
    with pytest.raises(HistoryUnavailable, match="locked"):
        rig.history.list(HistoryQuery())
    other.execute("ROLLBACK")
    other.close()
    wait_for_health(rig)
    all_is_there(rig, 20)


def test_a_full_disk(start: Callable[..., Rig], tmp_path: Path) -> None:
    with mounted("-t", "tmpfs", "-o", "size=1m", "none", at=tmp_path):
        rig = start(sqlite_url(tmp_path))
        record = rig.create()
        ballast = tmp_path / "ballast"
        fill(ballast)
        for _ in range(50):
            rig.run()
        rig.write_output(record, *("x" * 500 for _ in range(100)))
        rig.dispatch()
        wait_for_problem(rig, "wait in memory")
        ballast.unlink()
        wait_for_health(rig)
        rig.enter(record, S.RUNNING, S.COMPLETE)
        all_is_there(rig, 51)
        assert rig.stop()


def test_a_file_that_can_only_be_read(start: Callable[..., Rig], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    first = start(sqlite_url(folder), "run-0")
    lost = first.create().procedure.id
    first.run()
    first.flush()
    first.kill()
    with mounted("--bind", str(folder), at=folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        rig = start(sqlite_url(folder))
        assert rig.history.first_procedure_id > lost + 1
        assert rig.history.first_procedure_id < 1000
        rig.run()
        rig.dispatch()
        wait_for_problem(rig, "wait in memory")
        assert not rig.recovered
    wait_for_health(rig)
    rig.flush()
    assert [summary.id for summary in rig.recovered[0].procedures] == [lost]
    assert total(rig) == 3


def test_a_folder_that_cannot_be_made(start: Callable[..., Rig], tmp_path: Path) -> None:
    blocking = tmp_path / "data"
    blocking.touch()
    rig = start(sqlite_url(blocking))
    wait_for_problem(rig, "data")
    rig.run()
    blocking.unlink()
    wait_for_health(rig)
    all_is_there(rig, 1)
    assert rig.procedure_ids.__next__() > 1_000_000_000  # ids that no earlier run can have given


def test_a_stop_while_the_database_is_away_is_short_and_says_what_is_lost(
    start: Callable[..., Rig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = start(sqlite_url(tmp_path))
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    record = rig.create()
    rig.dispatch()
    wait_for_problem(rig, "locked")
    assert not rig.stop()
    assert "changes are lost" in caplog.text
    other.close()
    later = start(sqlite_url(tmp_path), "run-2")
    assert later.history.first_procedure_id > record.procedure.id


def test_postgres_stopped_and_started_again(start: Callable[..., Rig], server: PostgresServer) -> None:
    rig = start(server.url())
    rig.run()
    rig.flush()
    server.stop()
    for _ in range(20):
        rig.run()
    rig.dispatch()
    wait_for_problem(rig, "wait in memory")
    assert json.loads(rig.history.describe_procedure(21))["state"] == "COMPLETE"
    server.start()
    wait_for_health(rig)
    all_is_there(rig, 21)
    server.restart_as_after_a_crash()
    rig.run()
    all_is_there(rig, 22)


def test_postgres_that_takes_no_writes(start: Callable[..., Rig], server: PostgresServer) -> None:
    rig = start(server.url())

    def set_read_only(value: str) -> None:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(
                f"ALTER DATABASE postgres SET default_transaction_read_only = {value}".encode()
            )

    set_read_only("on")
    rig.history._database._writer.dispose()
    for _ in range(5):
        rig.run()
    rig.dispatch()
    wait_for_problem(rig, "read-only")
    set_read_only("off")
    wait_for_health(rig)
    all_is_there(rig, 5)


def test_postgres_that_is_away_at_the_start(start: Callable[..., Rig], server: PostgresServer) -> None:
    first = start(server.url(), "run-0")
    lost = first.create().procedure.id
    first.flush()
    first.kill()
    server.stop()
    rig = start(server.url())
    wait_for_problem(rig, "postgres")
    rig.run()
    rig.dispatch()
    server.start()
    wait_for_health(rig)
    rig.flush()
    assert [summary.id for summary in rig.recovered[0].procedures] == [lost]
    assert total(rig) == 2


def test_postgres_that_hangs_keeps_nobody_waiting_and_is_told(
    start: Callable[..., Rig], server: PostgresServer
) -> None:
    rig = start(server.url())
    rig.run()
    rig.flush()
    with server.frozen():
        rig.run()
        rig.dispatch()
        with pytest.raises(HistoryUnavailable, match="has not answered within"):
            rig.history.list(HistoryQuery())
        pause, end = threading.Event(), time.monotonic() + DEADLINE
        while "does not answer" not in str(rig.history.health()):  # a silence announces itself to nobody
            assert time.monotonic() < end
            pause.wait(0.1)
        with pytest.raises(HistoryUnavailable, match="does not answer; "):
            rig.history.list(HistoryQuery())
    all_is_there(rig, 2)


def test_a_stop_does_not_wait_for_postgres_that_hangs(
    start: Callable[..., Rig], server: PostgresServer
) -> None:
    rig = start(server.url())
    rig.run()
    rig.flush()
    with server.frozen():
        rig.run()
        assert not rig.stop()


def test_nobody_waits_for_a_database_that_hangs(start: Callable[..., Rig], tmp_path: Path) -> None:
    rig = start(sqlite_url(tmp_path))
    entered, leave = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        assert leave.wait(DEADLINE)

    rig.history._writer.submit(hang)
    assert entered.wait(DEADLINE)
    record = rig.run()
    rig.history.note_request("c", "CreateProcedure", None)
    rig.dispatch()  # returns, though the writer cannot
    assert not rig.history.flush(0.0)
    assert rig.history.describe_procedure(record.procedure.id) == record.procedure.summary().to_json()
    leave.set()
    all_is_there(rig, 1)


def test_pruning_a_database_that_is_away_says_so(start: Callable[..., Rig], tmp_path: Path) -> None:
    rig = start(sqlite_url(tmp_path))
    rig.run()
    rig.flush()
    other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    outcomes: list[object] = []
    rig.history.prune(PruneQuery(keep=0), outcomes.append)
    assert rig.history.flush(DEADLINE)
    assert isinstance(outcomes[0], HistoryUnavailable)
    other.close()
    assert total(rig) == 1
