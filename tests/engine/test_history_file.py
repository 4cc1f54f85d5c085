"""A history file that is deleted, moved or replaced while the controller runs, and one with damaged rows."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.history.database import SCHEMA
from ska_oso_oet.history.queries import HistoryQuery
from ska_oso_oet.procedure.changes import ProcedureChange
from tests.engine.history_rig import DEADLINE, Rig, S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ska_oso_oet.event.journal import Event


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Begin a run of a controller; the one before is killed."""
    rigs: list[Rig] = []

    def begin(epoch: str = "run-1") -> Rig:
        for rig in rigs:
            rig.close()
        rigs.append(Rig(f"sqlite:///{tmp_path}/data/history.db", epoch, newest=10))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.close()


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def delete(file: Path) -> None:
    file.unlink()


def delete_all(file: Path) -> None:
    for each in file.parent.iterdir():
        each.unlink()


def delete_folder(file: Path) -> None:
    shutil.rmtree(file.parent)


def move(file: Path) -> None:
    file.rename(file.with_name("kept.db"))


def move_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("elsewhere"))


def numbers(rig: Rig) -> list[int]:
    page = json.loads(rig.history.list(HistoryQuery()))
    return sorted(each["id"] for each in page["procedures"])


@pytest.mark.parametrize("lose", [delete, delete_all, delete_folder, move, move_folder])
def test_a_file_that_has_gone_is_told_and_written_again(
    start: Callable[..., Rig], tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    file = tmp_path / "data" / "history.db"
    rig = start()
    rig.run()
    live = rig.create()
    rig.flush()
    lose(file)
    # Nobody writes meanwhile: the question about the health is enough.
    rig.history.health()
    rig.flush()
    assert "was deleted or moved while the controller runs" in str(rig.history.health())
    assert str(file) in str(rig.history.health())
    rig.enter(live, S.RUNNING, S.COMPLETE)
    rig.run()
    assert rig.stop()
    again = start("run-2")
    assert numbers(again) == [1, 2, 3]
    assert again.history.first_procedure_id == 4
    assert again.history.health() is None
    assert json.loads(again.history.describe_procedure(2))["state"] == "COMPLETE"


def test_what_happens_while_it_is_lost_is_in_the_new_one(start: Callable[..., Rig], tmp_path: Path) -> None:
    rig = start()
    rig.run()
    rig.flush()
    delete_all(tmp_path / "data" / "history.db")
    rig.run()
    rig.flush()
    assert "was deleted or moved" in str(rig.history.health())
    rig.history.acknowledge()
    assert rig.history.health() is None
    again = start("run-2")
    assert numbers(again) == [1, 2]


def test_a_file_in_its_place_is_used_and_not_overwritten(start: Callable[..., Rig], tmp_path: Path) -> None:
    other = tmp_path / "other"
    first = Rig(f"sqlite:///{other}/history.db", "another")
    for _ in range(5):
        first.run()
    assert first.stop()
    rig = start()
    rig.run()
    rig.flush()
    shutil.copy(other / "history.db", tmp_path / "data" / "copy")
    (tmp_path / "data" / "copy").rename(tmp_path / "data" / "history.db")
    rig.history.health()
    rig.flush()
    assert "was replaced by another file" in str(rig.history.health())
    rig.history.acknowledge()
    assert numbers(rig) == [1, 2, 3, 4, 5]
    assert rig.history.health() is None


def test_a_damaged_row_costs_no_other(start: Callable[..., Rig], tmp_path: Path) -> None:
    file = tmp_path / "data" / "history.db"
    rig = start()
    rig.run()
    rig.create()
    rig.create()
    rig.write_output(rig.create(), "a line")
    rig.flush()
    rig.kill()
    change(file, "UPDATE oet_procedures SET summary = '{\"id\": 2, ' WHERE id IN (1, 2)")
    change(file, "UPDATE oet_output SET lines = '[' WHERE procedure_id = 4")
    again = start("run-2")
    [recovery] = again.recovered
    assert [summary.id for summary in recovery.procedures] == [3, 4]
    health = str(again.history.health())
    assert str(file) in health
    assert "oet_procedures id 2: no JSON" in health
    assert "can be deleted" in health
    with pytest.raises(HistoryUnavailable, match="oet_procedures id 1: no JSON"):
        again.history.describe_procedure(1)
    assert numbers(again) == [3, 4]
    with pytest.raises(HistoryUnavailable, match="oet_output id 4"):
        again.history.output(4, 0)
    again.run()
    assert again.stop()
    third = start("run-3")
    assert third.recovered[0].procedures == []


@pytest.mark.parametrize("version", ["9999", "0000", "what", None])
def test_an_unknown_schema_is_left_alone_and_told(
    start: Callable[..., Rig], tmp_path: Path, version: str | None
) -> None:
    file = tmp_path / "data" / "history.db"
    rig = start()
    rig.run()
    assert rig.stop()
    if version is None:
        change(file, "DELETE FROM oet_history_version")
    else:
        change(file, f"UPDATE oet_history_version SET version_num = '{version}'")
    again = start("run-2")
    health = str(again.history.health())
    assert str(file) in health
    assert f"its schema is {version}" in health
    assert "another HistoryUrl" in health
    assert again.history.first_procedure_id > 1
    again.run()
    again.dispatch()
    assert (
        json.loads(again.history.describe_procedure(again.history.first_procedure_id))["state"] == "COMPLETE"
    )
    again.kill()
    if version is None:
        change(file, f"INSERT INTO oet_history_version VALUES ('{SCHEMA}')")
    else:
        change(file, f"UPDATE oet_history_version SET version_num = '{SCHEMA}'")
    assert numbers(start("run-3")) == [1]


def test_what_listeners_are_told_is_stored_before(start: Callable[..., Rig], tmp_path: Path) -> None:
    rig = start()
    stored: list[tuple[int, str]] = []

    def look(*_: object) -> None:
        connection = sqlite3.connect(tmp_path / "data" / "history.db")
        stored.extend(connection.execute("SELECT id, state FROM oet_procedures ORDER BY id"))
        connection.close()

    rig.bus.follow(ProcedureChange, look)
    record = rig.create(to=())
    rig.dispatch()
    assert stored == [(1, "CREATING")]
    rig.enter(record, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING, S.COMPLETE)
    rig.dispatch()
    assert stored[-1] == (1, "COMPLETE")
    rig.history.settle()


def test_a_store_that_does_not_answer_in_time_keeps_nobody_waiting_and_is_told(
    start: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = start()
    other = sqlite3.connect(tmp_path / "data" / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)

    rig.bus.subscribe(hear)
    rig.run()
    rig.dispatch()
    assert heard
    assert "wait in memory" in str(rig.history.health())
    assert "wait in memory" in str(rig.health.get(timeout=DEADLINE))
    other.execute("ROLLBACK")
    other.close()
    rig.flush()
    assert rig.history.health() is None
    while rig.health.get(timeout=DEADLINE) is not None:
        pass
