"""Both stores of Scheduling Blocks, on a real disk and in a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda import (
    Oda,
    OdaSettings,
    OdaUnavailable,
    SBAlreadyExists,
    SBDefinition,
    SBDefinitionNotFound,
    SBInstance,
    SBInstanceNotFound,
    open_oda,
)
from tests.engine.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"
MID = json.loads((EXAMPLES / "mid.json").read_text(encoding="utf-8"))
LOW = json.loads((EXAMPLES / "low.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    yield running
    running.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    running.require()
    yield running
    running.close()


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    with server.database() as url:
        yield url


@pytest.fixture
def opened() -> Iterator[Callable[..., Oda]]:
    """Open stores by their settings; all are closed after the test."""
    stores: list[Oda] = []

    def begin(**settings: Any) -> Oda:
        stores.append(open_oda(OdaSettings.from_environment(settings.pop("environ", {}), **settings)))
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


@pytest.fixture
def postgres(opened: Callable[..., Oda], database: str) -> Callable[[], Oda]:
    return lambda: opened(backend="postgres", url=database)


@pytest.fixture(params=["filesystem", "postgres"])
def oda(request: pytest.FixtureRequest, opened: Callable[..., Oda], tmp_path: Path) -> Oda:
    if request.param == "filesystem":
        return opened(data_dir=tmp_path / "new" / "oda")
    return opened(backend="postgres", url=request.getfixturevalue("database"))


def sbd(sbd_id: str = "sbd-1", version: int | None = None, **other: Any) -> SBDefinition:
    metadata = {} if version is None else {"metadata": {"version": version}}
    return SBDefinition.parse(
        {"interface": "x", "sbd_id": sbd_id, "telescope": "ska_mid", **metadata, **other}
    )


def sbi(sbi_id: str = "sbi-1", sbd_ref: str = "sbd-1") -> SBInstance:
    call = {"activity_ref": "observe", "executed_at": "2024-03-28T15:43:53+00:00", "runtime_args": []}
    return SBInstance.parse(
        {
            "interface": "x",
            "sbi_id": sbi_id,
            "telescope": "ska_mid",
            "sbd_ref": sbd_ref,
            "sbd_version": 1,
            "activities": [call],
        }
    )


@pytest.mark.parametrize("document", [MID, LOW], ids=["mid", "low"])
def test_a_document_with_a_version_comes_back_identical(oda: Oda, document: dict[str, Any]) -> None:
    assert oda.add_sbd(SBDefinition.parse(document), "operator").to_dict() == document
    assert oda.get_sbd(document["sbd_id"]).to_dict() == document
    assert oda.get_sbd(document["sbd_id"], 1).to_dict() == document


def test_documents_without_a_version_are_numbered(oda: Oda) -> None:
    assert oda.add_sbd(sbd(note="first"), "operator").version == 1
    second = oda.add_sbd(sbd(note="second"), "operator")
    assert second.version == 2
    assert oda.get_sbd("sbd-1").to_dict() == second.to_dict()
    assert oda.get_sbd("sbd-1", 1).to_dict()["note"] == "first"
    assert second.to_dict()["metadata"]["created_by"] == "operator"
    created = datetime.fromisoformat(second.to_dict()["metadata"]["created_on"])
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)


def test_the_newest_version_is_the_highest_number(oda: Oda) -> None:
    for version in (9, 10, 2):
        oda.add_sbd(sbd(version=version), "operator")
    assert oda.get_sbd("sbd-1").version == 10
    assert oda.add_sbd(sbd(), "operator").version == 11


def test_a_version_is_never_overwritten(oda: Oda) -> None:
    oda.add_sbd(sbd(version=1, note="first"), "operator")
    with pytest.raises(SBAlreadyExists, match="sbd-1 version 1"):
        oda.add_sbd(sbd(version=1, note="second"), "operator")
    assert oda.get_sbd("sbd-1").to_dict()["note"] == "first"


def test_adding_the_same_again_changes_nothing(oda: Oda) -> None:
    for _ in range(2):
        oda.add_sbd(SBDefinition.parse(MID), "operator")
    assert [entry.version for entry in oda.list_sbds()] == [1]


def test_what_is_missing_is_named(oda: Oda) -> None:
    with pytest.raises(SBDefinitionNotFound, match="sbd-1"):
        oda.get_sbd("sbd-1")
    oda.add_sbd(sbd(version=2), "operator")
    with pytest.raises(SBDefinitionNotFound, match="sbd-1 has no version 1; the newest is 2"):
        oda.get_sbd("sbd-1", 1)
    with pytest.raises(SBInstanceNotFound, match="sbi-1"):
        oda.get_sbi("sbi-1")


@pytest.mark.parametrize("identifier", ["../sbd-1", "/etc/passwd", "", ".", "..", "a/b", "a\0b", "x" * 200])
def test_ids_that_could_leave_the_store_are_refused(oda: Oda, identifier: str) -> None:
    with pytest.raises(InvalidArgument, match="sbd_id"):
        oda.get_sbd(identifier)
    with pytest.raises(InvalidArgument, match="sbi_id"):
        oda.get_sbi(identifier)


def test_a_list_has_the_newest_of_each(oda: Oda) -> None:
    assert oda.list_sbds() == []
    for document in (LOW, MID):
        oda.add_sbd(SBDefinition.parse(document), "operator")
    oda.add_sbd(sbd("sbd-mid-example", activities={}), "operator")
    low, mid = oda.list_sbds()
    assert (low.sbd_id, low.version, low.telescope) == ("sbd-low-example", 1, "ska_low")
    assert set(low.activities) == {"allocate", "observe"}
    assert (mid.sbd_id, mid.version, mid.activities) == ("sbd-mid-example", 2, ())


def test_instances_are_stored_once(oda: Oda) -> None:
    oda.add_sbi(sbi(), "operator")
    assert oda.get_sbi("sbi-1").to_dict() == sbi().to_dict()
    with pytest.raises(SBAlreadyExists, match="sbi-1"):
        oda.add_sbi(sbi(), "operator")


def test_instances_are_listed_newest_first_a_page_at_a_time(oda: Oda) -> None:
    assert oda.list_sbis(None, 10) == []
    for number, sbd_ref in enumerate(["sbd-1", "sbd-2", "sbd-1"]):
        oda.add_sbi(sbi(f"sbi-{number}", sbd_ref), "operator")
    assert [entry.sbi_id for entry in oda.list_sbis(None, 10)] == ["sbi-2", "sbi-1", "sbi-0"]
    assert [entry.sbi_id for entry in oda.list_sbis(None, 1, 1)] == ["sbi-1"]
    newest, oldest = oda.list_sbis("sbd-1", 10)
    assert (newest.sbi_id, oldest.sbi_id) == ("sbi-2", "sbi-0")
    assert (newest.sbd_id, newest.sbd_version, newest.activities) == ("sbd-1", 1, ("observe",))


def test_adders_at_the_same_time_get_a_version_each(oda: Oda) -> None:
    with ThreadPoolExecutor(16) as pool:
        added = list(pool.map(lambda n: oda.add_sbd(sbd(writer=n), "operator"), range(48)))
    assert sorted(one.version or 0 for one in added) == list(range(1, 49))
    for one in added:
        assert oda.get_sbd("sbd-1", one.version).to_dict() == one.to_dict()


def test_a_store_that_works_passes_the_check(oda: Oda) -> None:
    oda.check()
    oda.check()


ADDER = """
import sys
from pathlib import Path
from ska_oso_oet.oda import OdaSettings, SBDefinition, open_oda
oda = open_oda(OdaSettings(data_dir=Path(sys.argv[1])))
for n in range(20):
    document = {"interface": "x", "sbd_id": "sbd-1", "telescope": "ska_mid", "writer": sys.argv[2], "n": n}
    oda.add_sbd(SBDefinition.parse(document), "operator")
"""


def test_processes_that_add_at_the_same_time_overwrite_nothing(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path), str(n)]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    files = sorted((tmp_path / "sbd" / "sbd-1").iterdir())
    assert {path.name for path in files} == {f"{n}.json" for n in range(1, 61)}  # and no draft is left
    documents = [json.loads(path.read_bytes()) for path in files]
    assert len({(document["writer"], document["n"]) for document in documents}) == 60


def test_files_that_are_no_documents(tmp_path: Path) -> None:
    oda = open_oda(OdaSettings(data_dir=tmp_path))
    folder = tmp_path / "sbd" / "sbd-1"
    folder.mkdir(parents=True)
    for name in (".new-abc", "2.json.bak", "notes.json", "0.json", "٣.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (tmp_path / "sbd" / "README").write_text("", encoding="utf-8")
    assert oda.list_sbds() == []
    with pytest.raises(SBDefinitionNotFound):
        oda.get_sbd("sbd-1")
    (folder / "1.json").write_text('{"sbd_id": "sbd-1", "tele', encoding="utf-8")
    assert [(entry.version, entry.telescope) for entry in oda.list_sbds()] == [(1, None)]
    with pytest.raises(InvalidArgument, match="sbd-1 version 1: Invalid JSON"):
        oda.get_sbd("sbd-1")


def test_a_file_put_there_by_hand_needs_no_version(tmp_path: Path) -> None:
    folder = tmp_path / "sbd" / "sbd-1"
    folder.mkdir(parents=True)
    (folder / "3.json").write_text(sbd().to_json(), encoding="utf-8")
    assert open_oda(OdaSettings(data_dir=tmp_path)).get_sbd("sbd-1").version == 3


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "oda").write_text("a file in the way", encoding="utf-8")
    oda = open_oda(OdaSettings(data_dir=tmp_path / "oda"))
    for action in (oda.check, lambda: oda.add_sbd(sbd(), "operator"), lambda: oda.add_sbi(sbi(), "operator")):
        with pytest.raises(OdaUnavailable, match=str(tmp_path / "oda")):
            action()
    (tmp_path / "oda").unlink()
    oda.check()


def test_a_database_survives_the_restart_of_its_server(
    own_server: PostgresServer, opened: Callable[..., Oda]
) -> None:
    oda = opened(backend="postgres", url=own_server.url())
    oda.add_sbd(SBDefinition.parse(MID), "operator")
    own_server.stop()
    try:
        for action in (oda.check, oda.list_sbds, lambda: oda.get_sbd("sbd-mid-example")):
            with pytest.raises(OdaUnavailable, match="cannot be used"):
                action()
    finally:
        own_server.start()
    oda.check()
    assert oda.get_sbd("sbd-mid-example").to_dict() == MID
    own_server.restart_as_after_a_crash()
    assert oda.get_sbd("sbd-mid-example").to_dict() == MID  # the pooled connection is dead: nobody notices


def test_tables_are_those_of_the_oda_and_are_made_once(postgres: Callable[[], Oda], database: str) -> None:
    stores = [postgres() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: store.check(), stores))
    stores[0].add_sbd(SBDefinition.parse(MID), "operator")
    stores[1].add_sbi(sbi(), "operator")
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ).fetchall()
        stored = connection.execute("SELECT sbd_id, version, created_by, info FROM tab_oda_sbd").fetchall()
        instance = connection.execute(
            "SELECT sbi_id, sbd_id, sbd_version, created_by FROM tab_oda_sbi"
        ).fetchall()
    common = [
        ("id", "integer"),
        ("info", "jsonb"),
        ("sbd_id", "text"),
        ("version", "integer"),
        ("created_by", "text"),
        ("created_on", "timestamp without time zone"),
        ("last_modified_on", "timestamp without time zone"),
        ("last_modified_by", "text"),
    ]
    assert [row[1:] for row in rows if row[0] == "tab_oda_sbd"] == common
    assert [row[1:] for row in rows if row[0] == "tab_oda_sbi"] == [
        *common,
        ("sbd_version", "integer"),
        ("sbi_id", "text"),
    ]
    assert stored == [("sbd-mid-example", 1, "An Astronomer", MID)]
    assert instance == [("sbi-1", "sbd-1", 1, "operator")]


def test_tables_that_were_dropped_are_made_again(postgres: Callable[[], Oda], database: str) -> None:
    oda = postgres()
    oda.check()
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE tab_oda_sbd")
    with pytest.raises(OdaUnavailable, match="tab_oda_sbd"):
        oda.list_sbds()
    assert oda.list_sbds() == []


def test_a_read_only_database_fails_the_check(postgres: Callable[[], Oda], database: str) -> None:
    postgres().check()
    with psycopg.connect(database) as connection:
        connection.execute("ALTER DATABASE oda SET default_transaction_read_only = on")
    with pytest.raises(OdaUnavailable, match="read-only"):
        postgres().check()


def test_a_password_that_is_wrong_is_not_repeated(
    server: PostgresServer, opened: Callable[..., Oda], database: str
) -> None:
    rules = server.data_dir / "pg_hba.conf"
    trusting = rules.read_text(encoding="utf-8")
    with psycopg.connect(database) as connection:
        connection.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'r1ght-pa55'")
    rules.write_text("local all guarded scram-sha-256\n" + trusting, encoding="utf-8")
    server.control("reload")
    socket = database.partition("host=")[2]
    try:
        wrong = opened(backend="postgres", url=f"postgresql://guarded:wr0ng-pa55@/oda?host={socket}")
        with pytest.raises(OdaUnavailable, match="password authentication failed") as caught:
            wrong.check()
        assert "wr0ng-pa55" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"
        assert "guarded@" in str(caught.value)
        password = {"ADMIN_POSTGRES_PASSWORD": "r1ght-pa55"}
        opened(environ=password, backend="postgres", url=f"postgresql://guarded@/oda?host={socket}").check()
    finally:
        rules.write_text(trusting, encoding="utf-8")
        server.control("reload")


def test_a_server_that_is_not_there_is_named(opened: Callable[..., Oda]) -> None:
    oda = opened(backend="postgres", host="127.0.0.1", port=1, user="oet", password="s3cr3t")
    with pytest.raises(
        OdaUnavailable, match=r"oet@127\.0\.0\.1:1/postgres cannot be used: .*refused"
    ) as caught:
        oda.check()
    assert "s3cr3t" not in str(caught.value)


def test_without_the_extra_it_is_named() -> None:
    program = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "psycopg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda import OdaSettings, open_oda
open_oda(OdaSettings())
try:
    open_oda(OdaSettings(backend="postgres", host="h"))
except InvalidArgument as error:
    print(error)
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "ska-oso-oet[db]" in shown.stdout
