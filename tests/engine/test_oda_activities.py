"""Activities from real stores, as real scripts in real processes."""

from __future__ import annotations

import json
import queue
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.activity.application import ActivityService, ActivitySettings
from ska_oso_oet.activity.domain import ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal, EventsQuery
from ska_oso_oet.mptools import MainContext
from ska_oso_oet.oda import Oda, OdaSettings, SBDefinition, open_oda
from ska_oso_oet.procedure.application import ScriptExecutionService
from ska_oso_oet.procedure.commands import StartProcessCommand, StopProcessCommand
from ska_oso_oet.worker.pool import ScriptWorkerPool
from tests.engine.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


S = ActivityState
SOURCES = Path(__file__).parent.parent / "data" / "sbd"
PATIENCE = 60.0

CHECKING = """
import json

def init(subarray_id, greeting="hello"):
    global subarray
    subarray = subarray_id

def main(sb_json, sbi_id, note):
    with open(sb_json) as file:
        sbd = json.load(file)
    with open(note, "w") as file:
        json.dump([sbd["sbd_id"], sbi_id, subarray, sbd["targets"]], file)
"""

MODEST = """
def init(subarray_id):
    pass

def main(sb_json):
    with open(sb_json + ".seen", "w") as file:
        file.write(sb_json)
"""

MEETING = """
import socket

def init(subarray_id):
    global subarray
    subarray = subarray_id

def main(address, **kwargs):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(bytes([subarray]))
        assert connection.recv(1) == b"!"
"""


OBSERVING = """
import os, signal
from pubsub import pub

def main(sb_json, sbi_id):
    pub.sendMessage("sb.lifecycle.observation.started", msg_src="script", sb_id=sbi_id)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class NoBacklog:
    """The bus of these tests is never behind."""

    backlog = 0

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        callback()


class Observatory:
    """A store, the engine and the activities on it."""

    def __init__(self, oda: Oda, directory: Path, telescope: str) -> None:
        self.oda = oda
        self.told: queue.SimpleQueue[ActivitySummary] = queue.SimpleQueue()
        self.journal = EventJournal("epoch", 10_000, time.time)
        self._pump = ThreadPoolExecutor(1)
        self.bus = EventBus(self.journal, self._defer)
        self.procedures = ScriptExecutionService(self.bus, clock=time.time)
        self._context = MainContext(("ska_oso_oet.worker.script_worker",))
        self.procedures.use(ScriptWorkerPool(self._context, self.procedures, NoBacklog(), grace=2.0))
        settings = ActivitySettings(sb_dir=directory / "sbs", telescope=telescope)
        self.activities = ActivityService(oda, self.procedures, self.bus.publish, self.told.put, settings)
        self.activities.listen(self.bus)
        self._context.start()

    def _defer(self, task: Callable[[], None]) -> None:
        self._pump.submit(task)

    def close(self) -> None:
        self.procedures.end_all(2.0, run_abort=False)
        self._context.stop()
        self._pump.shutdown()
        self.activities.close()

    def run(self, name: str, sbd_id: str, **request: Any) -> int:
        command = ActivityCommand.parse({"activity_name": name, "sbd_id": sbd_id} | request)
        return self.activities.prepare_run_activity(command, "cmd").id

    def wait(self, activity_id: int, *states: ActivityState) -> ActivitySummary:
        while True:
            summary = self.told.get(timeout=PATIENCE)
            if summary.id == activity_id and summary.state in states:
                return summary

    def end(self, activity_id: int) -> ActivitySummary:
        return self.wait(activity_id, *(state for state in S if state.final))

    def topics(self) -> list[str]:
        events = json.loads(self.journal.read(EventsQuery.parse({"limit": 10_000})))["events"]
        return [event["topic"] for event in events]


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


@pytest.fixture(params=["filesystem", "postgres"])
def oda(request: pytest.FixtureRequest, server: PostgresServer, tmp_path: Path) -> Iterator[Oda]:
    if request.param == "filesystem":
        yield open_oda(OdaSettings(data_dir=tmp_path / "oda"))
        return
    with server.database() as url:
        store = open_oda(OdaSettings.from_environment({}, backend="postgres", url=url))
        yield store
        store.close()


@pytest.fixture
def observatory(tmp_path: Path) -> Iterator[Callable[..., Observatory]]:
    made: list[Observatory] = []

    def build(oda: Oda, telescope: str = "skamid") -> Observatory:
        made.append(Observatory(oda, tmp_path, telescope))
        return made[-1]

    yield build
    for each in made:
        each.close()


def example(directory: Path, telescope: str, activities: dict[str, Any]) -> SBDefinition:
    """The example of a telescope, with scripts that are there."""
    path = directory / "script.py"
    path.write_text(CHECKING, encoding="utf-8")
    source = (SOURCES / f"{telescope}.json").read_text(encoding="utf-8")
    document = json.loads(source)
    for activity in document["activities"].values():
        if activity["kind"] == "filesystem":
            activity["path"] = path.as_uri()
    document["activities"] |= activities
    return SBDefinition.parse(document)


@pytest.mark.parametrize(("telescope", "subarray"), [("mid", 1), ("low", 2)])
def test_an_activity_runs_to_its_end(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory], telescope: str, subarray: int
) -> None:
    sbd = oda.add_sbd(example(tmp_path, telescope, {}), "operator")
    site = observatory(oda, f"ska{telescope}")
    note = tmp_path / "note.json"
    user = {"init": {"kwargs": {"greeting": "hi"}}, "main": {"kwargs": {"note": str(note)}}}
    ended = site.end(site.run("allocate", sbd.sbd_id, script_args=user))
    assert (ended.state, ended.message) == (S.COMPLETE, None)
    assert [state for state, _ in ended.activity_states] == [S.REQUESTED, S.PREPARED, S.RUNNING, S.COMPLETE]
    assert json.loads(note.read_text(encoding="utf-8")) == [
        sbd.sbd_id,
        ended.sbi_id,
        subarray,
        sbd.to_dict()["targets"],
    ]
    recorded = oda.get_sbi(ended.sbi_id or "").to_dict()
    assert (recorded["sbd_ref"], recorded["activities"][0]["activity_ref"]) == (sbd.sbd_id, "allocate")
    topics = site.topics()
    assert topics.index("request.activity.run") < topics.index("request.procedure.create")
    assert topics.count("activity.lifecycle.statechange") == 4
    assert topics.count("activity.lifecycle.running") == 1


def test_a_main_that_takes_no_sbi_id_gets_none(
    tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    oda = open_oda(OdaSettings(data_dir=tmp_path / "oda"))
    arguments = {"init": {"kwargs": {"subarray_id": 1}}}
    modest = {"kind": "inline", "content": MODEST, "function_args": arguments}
    sbd = oda.add_sbd(example(tmp_path, "mid", {"modest": modest}), "operator")
    site = observatory(oda)
    ended = site.end(site.run("modest", sbd.sbd_id))
    assert (ended.state, ended.message) == (S.COMPLETE, None)
    assert ended.sbi_id
    assert len(list((tmp_path / "sbs").glob("*.seen"))) == 1


def test_prepare_only_waits_and_runs_when_its_procedure_is_started(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    sbd = oda.add_sbd(example(tmp_path, "mid", {}), "operator")
    site = observatory(oda)
    user = {"main": {"kwargs": {"note": str(tmp_path / "note.json")}}}
    activity_id = site.run("allocate", sbd.sbd_id, prepare_only=True, script_args=user)
    prepared = site.wait(activity_id, S.PREPARED)
    assert not (tmp_path / "note.json").exists()
    site.procedures.start(StartProcessCommand(procedure_id=prepared.procedure_id))
    assert site.end(activity_id).state is S.COMPLETE
    assert (tmp_path / "note.json").exists()


def test_what_a_script_refuses_is_the_reason(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    sbd = oda.add_sbd(example(tmp_path, "mid", {}), "operator")
    site = observatory(oda)
    without_note = site.end(site.run("allocate", sbd.sbd_id))
    assert without_note.state is S.FAILED
    assert "note" in (without_note.message or "")
    user = {"init": {"kwargs": {"colour": "red"}}}
    unknown = site.end(site.run("allocate", sbd.sbd_id, script_args=user))
    assert unknown.state is S.FAILED
    assert "colour" in (unknown.message or "")


def test_what_the_store_does_not_have_is_the_reason(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    mid = oda.add_sbd(example(tmp_path, "mid", {}), "operator")
    low = oda.add_sbd(example(tmp_path, "low", {}), "operator")
    site = observatory(oda)
    for words, activity_id in (
        ("no SBDefinition sbd-none", site.run("allocate", "sbd-none")),
        ("no version 5; the newest is 1", site.run("allocate", mid.sbd_id, sbd_version=5)),
        ("no activity 'fly'", site.run("fly", mid.sbd_id)),
        ("for ska_low, and this OET controls skamid", site.run("allocate", low.sbd_id)),
        ("sbd_id: an id is", site.run("allocate", "../sbd")),
    ):
        ended = site.activities.summarise([activity_id])[0]
        ended = ended if ended.state.final else site.end(activity_id)
        assert ended.state is S.FAILED
        assert words in (ended.message or "")
    assert site.procedures.summarise() == []


def test_stopping_the_procedure_stops_the_activity(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    waiting = {"kind": "inline", "content": "import signal\ndef main(**_): signal.pause()\n"}
    sbd = oda.add_sbd(example(tmp_path, "mid", {"wait": waiting}), "operator")
    site = observatory(oda)
    running = site.wait(site.run("wait", sbd.sbd_id), S.RUNNING)
    site.procedures.stop(StopProcessCommand(procedure_id=running.procedure_id, run_abort=False))
    assert site.end(running.id).state is S.STOPPED
    running = site.wait(site.run("wait", sbd.sbd_id), S.RUNNING)
    site.activities.stop_activity(running.id)
    assert site.end(running.id).state is S.STOPPED


def test_an_observation_whose_script_was_killed_has_failed(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    observing = {"kind": "inline", "content": OBSERVING}
    sbd = oda.add_sbd(example(tmp_path, "mid", {"watch": observing}), "operator")
    site = observatory(oda)
    ended = site.end(site.run("watch", sbd.sbd_id))
    assert ended.state is S.FAILED
    site.activities.close()
    assert [topic for topic in site.topics() if topic.startswith("sb.")] == [
        "sb.lifecycle.observation.started",
        "sb.lifecycle.observation.finished.failed",
    ]


def test_sixteen_subarrays_observe_at_once(
    oda: Oda, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    meeting = {"kind": "inline", "content": MEETING}
    sbd = oda.add_sbd(example(tmp_path, "mid", {"meet": meeting}), "operator")
    site = observatory(oda)
    address = str(tmp_path / "meeting")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen(16)
        door.settimeout(PATIENCE)
        for subarray in range(1, 17):
            user = {"init": {"kwargs": {"subarray_id": subarray}}, "main": {"kwargs": {"address": address}}}
            site.run("meet", sbd.sbd_id, script_args=user)
        present = [door.accept()[0] for _ in range(16)]  # nobody leaves before all are there
        assert sorted(guest.recv(1)[0] for guest in present) == list(range(1, 17))
        for guest in present:
            guest.sendall(b"!")
            guest.close()
    ended: dict[int, ActivityState] = {}
    while len(ended) < 16:
        summary = site.told.get(timeout=PATIENCE)
        if summary.state.final:
            ended[summary.id] = summary.state
    assert set(ended.values()) == {S.COMPLETE}


def test_a_store_that_is_down_is_the_reason_and_its_return_the_remedy(
    own_server: PostgresServer, tmp_path: Path, observatory: Callable[..., Observatory]
) -> None:
    oda = open_oda(OdaSettings.from_environment({}, backend="postgres", url=own_server.url()))
    sbd = oda.add_sbd(example(tmp_path, "mid", {}), "operator")
    site = observatory(oda)
    own_server.stop()
    try:
        ended = site.end(site.run("allocate", sbd.sbd_id))
    finally:
        own_server.start()
    assert ended.state is S.FAILED
    assert "the ODA" in (ended.message or "")
    assert "cannot be used" in (ended.message or "")
    user = {"main": {"kwargs": {"note": str(tmp_path / "note.json")}}}
    assert site.end(site.run("allocate", sbd.sbd_id, script_args=user)).state is S.COMPLETE
    oda.close()
