"""ActivityService as its callers see it: immediate answers, ordered announcements, a clean end."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.activity.application import ActivityService, ActivitySettings
from ska_oso_oet.activity.domain import ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.errors import ActivityNotFound, InvalidArgument, Rejected
from ska_oso_oet.oda import OdaSettings, SBDefinition, open_oda
from ska_oso_oet.procedure.subarrays import ALL, Subarrays
from tests.unit.fake_procedures import FakeProcedures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


S = ActivityState
PATIENCE = 20.0
EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"


class Bench:
    """A service on a real store in a directory, and what it told, in order."""

    def __init__(self, directory: Path, subarrays: Subarrays = ALL) -> None:
        self.oda = open_oda(OdaSettings(data_dir=directory / "oda"))
        self.oda.add_sbd(SBDefinition.parse((EXAMPLES / "mid.json").read_bytes()), "operator")
        self.gate = threading.Event()
        self.gate.set()
        self.sb_dir = directory / "sbs"
        self.told: queue.SimpleQueue[ActivitySummary] = queue.SimpleQueue()
        self.published: list[str] = []
        procedures = FakeProcedures(first_id=1)
        self.service = ActivityService(
            self,
            procedures,
            self.publish,
            self.told.put,
            ActivitySettings(sb_dir=self.sb_dir, telescope="skamid", list_length=3, subarrays=subarrays),
        )
        procedures.report = self.service.on_procedure_changed

    def publish(self, topic: str, *_: object, **__: object) -> None:
        self.published.append(topic)

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        assert self.gate.wait(PATIENCE)
        if sbd_id == "sbd-bug":
            raise ZeroDivisionError("a bug of the store")
        return self.oda.get_sbd(sbd_id, version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.oda, name)

    def run(self, name: str = "allocate", sbd_id: str = "sbd-mid-example", **request: Any) -> ActivitySummary:
        command = ActivityCommand.parse({"activity_name": name, "sbd_id": sbd_id} | request)
        return self.service.prepare_run_activity(command, "cmd")

    def wait(self, activity_id: int, state: ActivityState) -> ActivitySummary:
        while True:
            summary = self.told.get(timeout=PATIENCE)
            if (summary.id, summary.state) == (activity_id, state):
                return summary


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.gate.set()
    made.service.close()


def test_a_request_is_answered_while_the_store_is_busy(bench: Bench) -> None:
    bench.gate.clear()
    summary = bench.run()
    assert (summary.id, summary.state, summary.command_id) == (1, S.REQUESTED, "cmd")
    assert bench.service.summarise() == [summary]
    bench.gate.set()
    assert bench.wait(1, S.COMPLETE).procedure_id == 1


def test_reports_that_come_before_the_procedure_is_known_are_not_lost(bench: Bench) -> None:
    bench.run()
    last = bench.wait(1, S.COMPLETE)
    assert [state for state, _ in last.activity_states] == [S.REQUESTED, S.PREPARED, S.RUNNING, S.COMPLETE]
    assert bench.service.summarise([1]) == [last]


def test_what_is_announced_is_already_what_is_listed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    seen: list[bool] = []

    def compare(summary: ActivitySummary) -> None:
        seen.append(bench.service.summarise([summary.id]) == [summary])
        bench.told.put(summary)

    bench.service._announce = compare
    bench.run()
    bench.wait(1, S.COMPLETE)
    bench.service.close()
    assert len(seen) == 5
    assert all(seen)


def test_activities_wait_for_the_store_side_by_side(bench: Bench) -> None:
    bench.gate.clear()
    for _ in range(3):
        bench.run(prepare_only=True)
    bench.run("fly")
    bench.gate.set()
    ended: dict[int, ActivitySummary] = {}
    while len(ended) < 4:
        summary = bench.told.get(timeout=PATIENCE)
        if summary.state in {S.PREPARED, S.FAILED}:
            ended[summary.id] = summary
    assert {activity_id for activity_id, each in ended.items() if each.state is S.PREPARED} == {1, 2, 3}
    assert "no activity 'fly'" in (ended[4].message or "")


def test_a_bug_of_the_store_fails_the_activity(bench: Bench) -> None:
    bench.run(sbd_id="sbd-bug")
    assert bench.wait(1, S.FAILED).message == "ZeroDivisionError: a bug of the store"
    bench.run()
    bench.wait(2, S.COMPLETE)


def test_a_stop_while_the_store_is_busy(bench: Bench) -> None:
    bench.gate.clear()
    bench.run()
    bench.service.stop_activity(1)
    assert bench.wait(1, S.STOPPED).message == "stopped on request"
    bench.gate.set()
    bench.run(prepare_only=True)
    bench.wait(2, S.PREPARED)
    bench.service.stop_activity(2)
    bench.wait(2, S.STOPPED)
    assert bench.service.summarise([1])[0].state is S.STOPPED


def test_the_newest_finished_are_kept(bench: Bench) -> None:
    for activity_id in range(1, 6):
        bench.run()
        bench.wait(activity_id, S.COMPLETE)
    bench.run(prepare_only=True)
    bench.wait(6, S.PREPARED)  # and with it, every earlier step is done
    assert [summary.id for summary in bench.service.summarise()] == [3, 4, 5, 6]
    assert len(list(bench.sb_dir.iterdir())) == 4
    assert bench.service.summarise([1, 99]) == []
    with pytest.raises(ActivityNotFound, match="activity 99"):
        bench.service.stop_activity(99)


def test_a_listener_that_fails_does_not_hold_an_activity_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = threading.Event()

    def broken(summary: ActivitySummary) -> None:
        if summary.state is S.COMPLETE:
            done.set()
        raise RuntimeError("a bug of the listener")

    bench.service._announce = broken
    bench.run()
    assert done.wait(PATIENCE)
    bench.service.close()


def test_closing_ends_everything(bench: Bench) -> None:
    bench.run(prepare_only=True)
    bench.wait(1, S.PREPARED)
    bench.gate.clear()
    bench.run()
    closing = threading.Thread(target=bench.service.close)
    closing.start()
    bench.gate.set()
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert [each.state for each in bench.service.summarise()] == [S.STOPPED, S.STOPPED]
    assert list(bench.sb_dir.iterdir()) == []
    with pytest.raises(Rejected, match="shutting down"):
        bench.run()
    bench.service.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith(("activities", "oda")) for name in names)


def test_a_scheduling_block_can_be_written_for_a_script(bench: Bench) -> None:
    path = bench.service.write_sbd_to_file(bench.oda.get_sbd("sbd-mid-example"))
    assert SBDefinition.parse(Path(path).read_bytes()).sbd_id == "sbd-mid-example"


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"telescope": "hubble"}, "telescope"), ({"list_length": -1}, "list_length"), ({}, "sb_dir")],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: Mapping[str, Any], word: str) -> None:
    given = {"sb_dir": tmp_path, **settings} if settings else {}
    with pytest.raises(InvalidArgument, match=word):
        ActivitySettings.parse(given)


def test_a_subarray_of_another_controller_is_refused_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Subarrays.read("2", 16))
    with pytest.raises(Rejected, match="subarray 2, not subarray 1"):
        bench.run(script_args={"init": {"kwargs": {"subarray_id": 1}}})
    assert bench.service.summarise() == []
    bench.service.close()
