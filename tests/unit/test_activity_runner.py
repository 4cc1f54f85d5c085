"""The rules of running activities, with a procedure side that does what the test says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.activity.domain import Activity, ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.activity.preparation import Preparation, SBFiles
from ska_oso_oet.activity.runner import ActivityRunner
from ska_oso_oet.errors import NotReady, Rejected, ScriptNotAllowed, SubarrayBusy
from ska_oso_oet.event.tree import topic_names
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import (
    CallArgs,
    ExitRecord,
    Procedure,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from ska_oso_oet.source.script import FileSystemScript
from tests.unit.fake_procedures import FakeProcedures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

P = ProcedureState


class Desk:
    """A runner, what it asked of procedures, and what it told."""

    def __init__(self, directory: Path, list_length: int = 10) -> None:
        self.directory = directory
        self.procedures = FakeProcedures(first_id=100)
        self.told: list[ActivitySummary] = []
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.request_ids: set[str | None] = set()
        self.forgotten: list[int] = []
        self.now = 0.0
        self.runner = ActivityRunner(
            self.procedures,
            self.publish,
            self.told.append,
            self.forgotten.append,
            SBFiles(directory),
            list_length,
        )

    def publish(
        self,
        topic: str,
        msg_src: str,
        data: Mapping[str, Any],
        *,
        request_id: str | None = None,
        subject: object = None,
    ) -> None:
        self.published.append((topic, dict(data)))
        self.request_ids.add(request_id)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def request(self, activity_id: int = 1, name: str = "observe", **request: Any) -> Activity:
        command = ActivityCommand.parse({"activity_name": name, "sbd_id": "sbd-1"} | request)
        activity = Activity(activity_id, command, self.tick(), f"command-{activity_id}", "alma@desk")
        self.runner.accept(activity)
        return activity

    def launch(self, activity_id: int = 1) -> ProcedureSummary | None:
        sb_file = self.directory / f"{activity_id}.json"
        sb_file.touch()
        command = PrepareProcessCommand(
            script=FileSystemScript(script_uri="file:///x.py"),
            script_args=CallArgs(main=ProcedureInput(sb_json=str(sb_file), sbi_id="sbi-1")),
        )
        self.runner.launch(activity_id, Preparation(3, "sbi-1", sb_file, command), self.tick())
        return self.procedures.created[-1].summary() if self.procedures.created else None

    def report(
        self, state: ProcedureState, procedure_id: int = 100, message: str | None = None, **args: Any
    ) -> None:
        exit_ = ExitRecord(cause="raised", message=message) if message else None
        procedure = self.procedures.created[procedure_id - 100]
        summary = procedure.summary().model_copy(update={"state": state, "exit": exit_, **args})
        self.runner.follow(summary, self.tick())

    def states(self) -> list[ActivityState]:
        return [summary.state for summary in self.told]


S = ActivityState


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_activity_runs_to_its_end(desk: Desk) -> None:
    desk.request()
    desk.launch()
    for state in (P.IDLE, P.LOADING, P.IDLE, P.INITIALISING, P.READY, P.RUNNING, P.COMPLETE):
        desk.report(state)
    last = desk.told[-1]
    assert [state for state, _ in last.activity_states] == [S.REQUESTED, S.PREPARED, S.RUNNING, S.COMPLETE]
    moments = [moment for _, moment in last.activity_states]
    assert moments == sorted(set(moments))
    assert (last.procedure_id, last.sbd_version, last.sbi_id, last.message) == (100, 3, "sbi-1", None)
    prepared, started = desk.procedures.asked
    assert isinstance(prepared, PrepareProcessCommand)
    assert started == StartProcessCommand(procedure_id=100)
    assert (last.requester, desk.procedures.requesters) == ("alma@desk", ["alma@desk"])


def test_every_change_is_told_once(desk: Desk) -> None:
    desk.request()
    desk.launch()
    for state in (P.READY, P.READY, P.RUNNING, P.RUNNING, P.COMPLETE, P.COMPLETE):
        desk.report(state)
    assert desk.states() == [S.REQUESTED, S.REQUESTED, S.PREPARED, S.RUNNING, S.COMPLETE]
    assert [summary.procedure_id for summary in desk.told] == [None, 100, 100, 100, 100]
    assert len(desk.procedures.asked) == 2


def test_topics_of_an_activity(desk: Desk) -> None:
    desk.request()
    desk.launch()
    for state in (P.READY, P.RUNNING, P.COMPLETE):
        desk.report(state)
    assert [topic for topic, _ in desk.published] == [
        "request.activity.run",
        "activity.lifecycle.statechange",
        "activity.lifecycle.statechange",
        "activity.lifecycle.statechange",
        "activity.lifecycle.running",
        "activity.lifecycle.statechange",
    ]
    assert {topic for topic, _ in desk.published} <= topic_names()
    by_topic = dict(desk.published)
    assert by_topic["request.activity.run"]["cmd"]["activity_name"] == "observe"
    assert by_topic["activity.lifecycle.statechange"]["new_state"] == "COMPLETE"
    assert by_topic["activity.lifecycle.running"]["result"]["state"] == "RUNNING"
    assert desk.request_ids == {"command-1"}


STARTED = "sb.lifecycle.observation.started"
SUCCEEDED = "sb.lifecycle.observation.finished.succeeded"
FAILED = "sb.lifecycle.observation.finished.failed"


@pytest.mark.parametrize(
    ("said", "end", "added"),
    [
        ([STARTED], P.FAILED, [FAILED]),
        ([STARTED], P.STOPPED, [FAILED]),
        ([STARTED, SUCCEEDED, STARTED], P.FAILED, [FAILED]),
        ([STARTED, FAILED], P.STOPPED, []),
        ([STARTED, SUCCEEDED], P.FAILED, []),
        ([STARTED], P.COMPLETE, []),
        (["sb.lifecycle.allocated"], P.FAILED, []),
        ([], P.FAILED, []),
    ],
)
def test_an_observation_that_a_script_could_not_end_has_failed(
    desk: Desk, said: list[str], end: ProcedureState, added: list[str]
) -> None:
    desk.request()
    desk.launch()
    for state in (P.READY, P.RUNNING):
        desk.report(state)
    for topic in said:
        desk.runner.on_script_event(100, topic, {"sb_id": "sbi-1"})
        desk.runner.on_script_event(555, topic, {"sb_id": "sbi-of-another"})
    desk.report(end)
    desk.runner.on_script_event(100, STARTED, {"sb_id": "too late"})
    desk.runner.end_all("closing", desk.tick())
    assert [(topic, data) for topic, data in desk.published if topic.startswith("sb.")] == [
        (topic, {"sb_id": "sbi-1"}) for topic in added
    ]


def test_prepare_only_waits_and_then_follows(desk: Desk) -> None:
    desk.request(prepare_only=True)
    desk.launch()
    desk.report(P.READY)
    assert desk.told[-1].state is S.PREPARED
    assert len(desk.procedures.asked) == 1
    others = CallArgs(main=ProcedureInput(scan_duration=2))
    desk.report(P.RUNNING, script_args=others)
    assert (desk.told[-1].state, desk.told[-1].script_args) == (S.RUNNING, others)
    desk.report(P.COMPLETE)
    assert desk.states()[-1] is S.COMPLETE


@pytest.mark.parametrize("before", [[], [P.READY], [P.READY, P.RUNNING]])
@pytest.mark.parametrize(("end", "state"), [(P.FAILED, S.FAILED), (P.STOPPED, S.STOPPED)])
def test_the_end_of_the_procedure_is_the_end_of_the_activity(
    desk: Desk, before: list[ProcedureState], end: ProcedureState, state: ActivityState
) -> None:
    desk.request()
    desk.launch()
    for each in before:
        desk.report(each)
    desk.report(end, message="ValueError: 3 is too much")
    assert (desk.told[-1].state, desk.told[-1].message) == (state, "ValueError: 3 is too much")


def test_an_end_without_a_message_is_explained(desk: Desk) -> None:
    desk.request()
    desk.launch()
    desk.report(P.FAILED)
    assert desk.told[-1].message == "procedure 100 is FAILED"


def test_missed_reports_leave_no_gap_in_the_states(desk: Desk) -> None:
    desk.request()
    desk.launch()
    desk.report(P.COMPLETE)
    assert desk.states() == [S.REQUESTED, S.REQUESTED, S.PREPARED, S.RUNNING, S.COMPLETE]


@pytest.mark.parametrize("error", [ScriptNotAllowed("not from there"), RuntimeError("a bug")])
def test_a_refused_script_fails_the_activity(desk: Desk, error: Exception) -> None:
    desk.procedures.refuse_prepare = error
    desk.request()
    desk.launch()
    assert desk.told[-1].state is S.FAILED
    assert str(error) in (desk.told[-1].message or "")
    assert desk.told[-1].procedure_id is None


def test_a_refused_start_fails_the_activity_and_stops_its_procedure(desk: Desk) -> None:
    desk.procedures.refuse_start = SubarrayBusy("subarray 1 is held by procedure 7")
    desk.request()
    desk.launch()
    desk.report(P.READY)
    assert (desk.told[-1].state, desk.told[-1].message) == (S.FAILED, "subarray 1 is held by procedure 7")
    assert desk.procedures.asked[-1] == StopProcessCommand(procedure_id=100, run_abort=False)
    desk.report(P.STOPPED)
    assert desk.told[-1].state is S.FAILED


def test_a_procedure_that_someone_else_started_is_followed(desk: Desk) -> None:
    desk.procedures.refuse_start = NotReady("procedure 100 is RUNNING")
    desk.request()
    desk.launch()
    for state in (P.READY, P.RUNNING, P.COMPLETE):
        desk.report(state)
    assert desk.told[-1].state is S.COMPLETE
    assert not any(isinstance(each, StopProcessCommand) for each in desk.procedures.asked)


def test_an_activity_that_cannot_be_prepared_fails(desk: Desk) -> None:
    desk.request()
    desk.runner.fail(1, "no SBDefinition sbd-1", desk.tick())
    assert (desk.told[-1].state, desk.told[-1].message) == (S.FAILED, "no SBDefinition sbd-1")
    assert desk.procedures.asked == []


def test_a_stop_before_there_is_a_procedure_is_at_once_and_for_good(desk: Desk) -> None:
    desk.request()
    desk.runner.stop(1, "stopped on request", desk.tick())
    assert desk.told[-1].state is S.STOPPED
    desk.launch()
    assert desk.procedures.asked == []
    assert list(desk.directory.iterdir()) == []
    desk.runner.fail(1, "too late", desk.tick())
    assert desk.told[-1].state is S.STOPPED


def test_a_stop_later_stops_the_procedure(desk: Desk) -> None:
    desk.request()
    desk.launch()
    desk.runner.stop(1, "stopped on request", desk.tick())
    assert desk.procedures.asked[-1] == StopProcessCommand(procedure_id=100, run_abort=False)
    assert desk.told[-1].state is S.REQUESTED
    desk.report(P.STOPPED)
    assert desk.states()[-1] is S.STOPPED


def test_procedures_without_an_activity_are_no_concern(desk: Desk) -> None:
    procedure = Procedure(7, FileSystemScript(script_uri="file:///x.py"), CallArgs(), 0.0)
    for state in P:
        desk.runner.follow(procedure.summary().model_copy(update={"state": state}), desk.tick())
    assert desk.told == []
    assert desk.published == []
    assert desk.runner.complete_run_activity(procedure.summary(), desk.tick()) is None


def test_history_keeps_those_that_ended_last_and_their_files(tmp_path: Path) -> None:
    desk = Desk(tmp_path, list_length=2)
    for activity_id in (1, 2, 3, 4):
        desk.request(activity_id)
        desk.launch(activity_id)
    for procedure_id in (101, 102, 103):
        desk.report(P.FAILED, procedure_id)
    assert desk.forgotten == [2]  # the first is live still
    assert {path.name for path in tmp_path.iterdir()} == {"1.json", "3.json", "4.json"}
    desk.report(P.COMPLETE, 100)
    assert desk.forgotten == [2, 3]
    assert {path.name for path in tmp_path.iterdir()} == {"1.json", "4.json"}


def test_nothing_is_kept_without_a_history(tmp_path: Path) -> None:
    desk = Desk(tmp_path, list_length=0)
    desk.procedures.refuse_start = Rejected("no")
    desk.request()
    desk.launch()
    desk.report(P.READY)
    desk.report(P.STOPPED)
    desk.runner.stop(1, "again", desk.tick())
    assert desk.forgotten == [1]
    assert desk.told[-1].state is S.FAILED
    assert list(tmp_path.iterdir()) == []


def test_the_end_of_the_service_ends_every_activity(desk: Desk) -> None:
    for activity_id in (1, 2, 3):
        desk.request(activity_id)
    desk.launch(1)
    desk.launch(2)
    desk.report(P.FAILED, 100)
    desk.runner.end_all("the OET is shutting down", desk.tick())
    ends = {summary.id: (summary.state, summary.message) for summary in desk.told}
    assert ends[1][0] is S.FAILED
    assert ends[2] == ends[3] == (S.STOPPED, "the OET is shutting down")
    assert list(desk.directory.iterdir()) == []


def test_a_listener_that_fails_does_not_hold_an_activity_up(desk: Desk) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug of the listener")

    desk.runner._publish = broken
    desk.request()
    desk.launch()
    for state in (P.READY, P.RUNNING, P.COMPLETE):
        desk.report(state)
    assert desk.told[-1].state is S.COMPLETE
