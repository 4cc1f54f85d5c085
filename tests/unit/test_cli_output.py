"""What `oet` prints, and the exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ska_oso_oet import errors
from ska_oso_oet.activity.domain import ActivitySummary
from ska_oso_oet.cli import exit_codes, run, tables
from ska_oso_oet.cli.event_lines import Subject, about_topic, event_lines, notice, output_line
from ska_oso_oet.cli.output import diagnostic, print_line, visible, visible_lines
from ska_oso_oet.cli.status import settings_named
from ska_oso_oet.client.events import Event, NewEpoch
from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.event.tree import topic_names
from ska_oso_oet.oda import OdaUnavailable
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
from ska_oso_oet.procedure.output import Line

SUMMARY = ProcedureSummary.parse(
    {
        "id": 2,
        "command_id": "c",
        "script": {
            "script_type": "git",
            "script_uri": "git:///a[red].py",
            "git_args": {"git_repo": "http://foo.git"},
        },
        "script_args": {"init": {"args": ["goodbye"], "kwargs": {"subarray_id": 1}}},
        "state": "FAILED",
        "subarray_id": 1,
        "progress": None,
        "history": {
            "process_states": [["CREATING", 1601461778.5], ["FAILED", 1601461779.605270]],
            "stacktrace": "Traceback\nValueError: \x1b[31mred",
        },
        "exit": {"cause": "raised", "message": "ValueError: red"},
    }
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgument, 2),
        (errors.ProcedureNotFound, 3),
        (errors.ActivityNotFound, 3),
        (errors.SubarrayBusy, 3),
        (errors.NotReady, 3),
        (errors.WaitTimeout, 5),
        (errors.ControllerUnreachable, 6),
        (OdaUnavailable, 6),
        (HistoryUnavailable, 6),
        (errors.OetError, 70),
    ],
)
def test_exit_code_of_an_error(error: type[errors.OetError], code: int) -> None:
    assert exit_codes.of_error(error("why")) == code


def test_exit_code_of_a_state() -> None:
    codes = {state: exit_codes.of_state(state) for state in ProcedureState}
    assert codes.pop(ProcedureState.FAILED) == 1
    assert codes.pop(ProcedureState.STOPPED) == 4
    assert set(codes.values()) == {0}


def test_list_has_the_known_columns_and_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_procedures([SUMMARY])
    header, _, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "ID"
    assert [name for name in ("Script", "Creation time", "State") if name in header] == [
        "Script",
        "Creation time",
        "State",
    ]
    assert row.split() == ["2", "git:///a[red].py", "2020-09-30", "10:29:38", "FAILED"]


RUNNING = ProcedureSummary.parse(
    {
        **SUMMARY.to_dict(),
        "state": "RUNNING",
        "progress": {"percent": 40, "message": "scan 2"},
        "history": {"process_states": [["CREATING", 1000.0], ["RUNNING", 1010.0]], "stacktrace": None},
        "exit": None,
        "requester": "alma@desk pid 42",
    }
)


def test_a_list_tells_what_an_operator_asks_for_next(capsys: pytest.CaptureFixture[str]) -> None:
    ended = {"process_states": [["CREATING", 1.0], ["RUNNING", 2.0], ["STOPPED", 9.4]], "stacktrace": None}
    stopped = {**SUMMARY.to_dict(), "state": "STOPPED", "subarray_id": None, "history": ended}
    tables.print_procedure_list([SUMMARY, RUNNING, ProcedureSummary.parse(stopped)], now=4711.0)
    header, _, failed, running, last, *_ = (
        " ".join(line.split()) for line in capsys.readouterr().out.splitlines()
    )
    assert header == "ID Script Creation time State Subarray Progress Duration Requester"
    assert failed.endswith("FAILED 1")
    assert running.endswith("RUNNING 1 40 % 1:01:41 alma@desk pid 42")
    assert last.endswith("STOPPED 0:00:07")


def test_describe_begins_with_how_it_fares(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_procedure(RUNNING, "tango://h:1/a/b/c", now=1013.0)
    header, _, row, *_ = (" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
    assert header == "State Subarray Duration Requester"
    assert row == "RUNNING 1 0:00:03 alma@desk pid 42"


def test_describe_shows_states_arguments_repository_and_stack_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_procedure(SUMMARY, "tango://h:1/a/b/c", now=0.0)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "ID Script URI",
        "2 git:///a[red].py tango://h:1/a/b/c/procedures/2",
        "Time State",
        "2020-09-30 10:29:39.605270 FAILED",
        "Index Method Arguments Keyword Arguments",
        "1 init ['goodbye'] {'subarray_id': 1}",
        "2 main [] {}",
        "Repository Branch Commit",
        "http://foo.git master",
        "Ended: ValueError: red",
        "ValueError: \\x1b[31mred",
    ):
        assert line in lines


def test_control_characters_are_shown_not_obeyed() -> None:
    assert visible("a\x1b[2Jb\r\x07\u202e") == "a\\x1b[2Jb\\r\\x07\\u202e"
    assert visible("tab\tand\nline\u2028é") == "tab\tand\\nline\\u2028é"
    assert visible_lines("tab\tand\nline é") == "tab\tand\nline é"


HOSTILE = "fine\n10:29:38.000 state COMPLETE\r\x1b[2K\x9b2J"


def test_what_others_wrote_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    progress = {"progress": 1, "message": HOSTILE}
    shown = [
        *event_lines(_event("procedure.progress", "2", progress)),
        *event_lines(_event("user.script.announce", HOSTILE, {"msg": HOSTILE})),
        *event_lines(_event("procedure.lifecycle.statechange", "2", {"new_state": HOSTILE})),
        output_line(Line(1, 1.0, "stdout", HOSTILE, HOSTILE)),
    ]
    for line in shown:
        print_line(line)
    diagnostic(HOSTILE)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == len(shown)
    assert all(line.startswith("oet: ") for line in printed.err.splitlines())
    assert not set("\x1b\x9b\r") & set(printed.out + printed.err)


def test_what_others_wrote_makes_no_row_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    script = {"script_type": "embedded", "script_source": "", "script_name": HOSTILE}
    hostile = ProcedureSummary.parse(
        {
            **SUMMARY.to_dict(),
            "script": script,
            "progress": {"percent": 1, "message": HOSTILE},
            "exit": {"cause": "raised", "message": HOSTILE},
            "history": {"process_states": [["CREATING", 1.0]], "stacktrace": None},
        }
    )
    tables.print_procedures([hostile])
    assert len(capsys.readouterr().out.splitlines()) == 4
    tables.print_procedure(hostile, "tango://h:1/a/b/c", now=0.0)
    printed = capsys.readouterr().out
    assert not [line for line in printed.splitlines() if line.startswith("10:29:38")]
    assert not set("\x1b\x9b\r") & set(printed)


def _event(topic: str, source: object, data: object, procedure_id: int | None = None) -> Event:
    return Event("e", 1, 1601461778.25, topic, source, None, data, procedure_id)


@pytest.mark.parametrize(
    ("event", "ours"),
    [
        (_event("procedure.lifecycle.statechange", "2", {"new_state": "READY"}, 2), True),
        (_event("procedure.lifecycle.statechange", "3", {"new_state": "READY"}, 3), False),
        (_event("procedure.lifecycle.ready", "SESWorker", {"result": {"id": 2}}, 2), True),
        (_event("procedure.output", "SESWorker", {"procedure_id": 3, "lines": []}, 3), False),
        (_event("user.script.announce", "hello_world", {"msg": "hi"}, 2), True),
        (_event("user.script.announce", "hello_world", {"msg": "hi"}, 3), False),
        # What a script calls itself, or puts into its data, makes its events nobody else's.
        (_event("user.script.announce", "2", {"msg": "hi"}, 3), False),
        (
            _event("procedure.progress", "2", {"procedure_id": 2, "result": {"id": 2}}, 3),
            False,
        ),
        (_event("procedure.progress", "3", {"progress": 18}, 2), True),
        (_event("request.procedure.list", "x", None), False),
    ],
)
def test_following_shows_what_concerns_the_procedure(event: Event, *, ours: bool) -> None:
    assert Subject(2).concerned_by(event) is ours
    assert not Subject(None, activity_id=2).concerned_by(event)


def _activity_event(activity_id: int, procedure_id: int | None) -> Event:
    change = {"new_state": "RUNNING", "result": {"id": activity_id, "procedure_id": procedure_id}}
    return _event("activity.lifecycle.statechange", "ActivityService", change)


def test_following_an_activity_finds_its_procedure() -> None:
    subject = Subject(None, activity_id=2, command_id="c")
    theirs = Event("e", 1, 1.0, "procedure.lifecycle.statechange", "8", "d", {}, 8)
    ours = Event("e", 2, 1.0, "procedure.lifecycle.statechange", "9", "c", {}, 9)
    for event in (theirs, ours):
        subject.note(event)
    assert subject.procedure_id == 9
    assert [subject.concerned_by(event) for event in (theirs, ours)] == [False, True]
    assert subject.is_moved_by(_activity_event(2, 9))
    assert not subject.is_moved_by(_activity_event(3, 8))
    assert not subject.is_moved_by(ours)


def test_an_activity_is_not_mistaken_for_the_procedure_with_its_number() -> None:
    assert not Subject(2).concerned_by(_activity_event(2, 1))
    assert not Subject(2).is_moved_by(_activity_event(2, 1))


def test_following_has_a_line_for_each_thing() -> None:
    events = [
        _event("procedure.lifecycle.statechange", "2", {"new_state": "READY"}),
        _event("procedure.lifecycle.ready", "x", {"result": {"id": 2}}),
        _activity_event(1, 2),
        _event("request.procedure.stop", "OETController", {"cmd": {}}, 2),
        _event("procedure.progress", "2", {"progress": 40, "message": "scan 2"}),
        _event("procedure.progress", "2", {"progress": 50}),
        _event("scan.lifecycle.start", "2", {"scan_id": 1}),
    ]
    assert [line for event in events for line in event_lines(event)] == [
        "10:29:38.250 state READY",
        "10:29:38.250 activity RUNNING",
        "10:29:38.250 progress 40 % scan 2",
        "10:29:38.250 progress 50 %",
        '10:29:38.250 scan.lifecycle.start 2: {"scan_id": 1}',
    ]


def test_a_number_that_was_not_reached_is_no_certain_restart() -> None:
    assert notice(NewEpoch("one", "", 7)) == (
        "the controller has no event 7 yet, or was restarted since: all that it has follow"
    )
    assert notice(NewEpoch("two", "one", 7)).startswith("the controller has been restarted; events of its")


def test_settings_are_chosen_by_their_names() -> None:
    settings: list[dict[str, Any]] = [{"name": "ScriptRoots"}, {"name": "HistoryLength", "value": 10}]
    assert settings_named(["historylength"], settings) == [settings[1]]
    with pytest.raises(errors.InvalidArgument, match=r"no setting ScriptRoot; is ScriptRoots meant"):
        settings_named(["ScriptRoot"], settings)


def test_a_line_of_output_says_when_and_where_from() -> None:
    assert output_line(Line(1, 1601461778.25, "stderr", "oh")) == "10:29:38.250 stderr  | oh"
    assert output_line(Line(2, 1601461778.25, "log", "no", "WARNING")) == "10:29:38.250 WARNING | no"


def _activity(**changes: object) -> ActivitySummary:
    states: list[tuple[str, float]] = [("REQUESTED", 1601461778.5), ("FAILED", 1601461779.605270)]
    return ActivitySummary.parse(
        {
            "id": 1,
            "command_id": "c",
            "procedure_id": None,
            "sbd_id": "sbd-123",
            "sbd_version": 3,
            "sbi_id": "sbi-9",
            "activity_name": "allocate",
            "prepare_only": False,
            "script_args": {"init": {"kwargs": {"foo": "bar"}}},
            "activity_states": states,
            "state": "FAILED",
            "message": "the ODA has no SBDefinition sbd-123",
        }
        | changes
    )


def test_list_of_activities_has_the_known_columns(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_activities([_activity(procedure_id=4)])
    header, _, row, *_ = capsys.readouterr().out.splitlines()
    names = ("ID", "Activity", "SB ID", "Creation Time", "Procedure ID", "State")
    assert " ".join(header.split()) == " ".join(names)
    assert row.split() == ["1", "allocate", "sbd-123", "2020-09-30", "10:29:38", "4", "FAILED"]


def test_describe_of_an_activity_shows_the_reason_the_version_and_the_instance(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_activity(_activity(), "tango://h:1/a/b/c")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "1 allocate sbd-123 FAILED",
        "URI Prepare Only",
        f"tango://h:1/a/b/c/activities/{_activity().id} False",
        "SB Version SB Instance",
        "3 sbi-9",
        "2020-09-30 10:29:39.605270 FAILED",
        "init [] {'foo': 'bar'}",
        "Ended: the ODA has no SBDefinition sbd-123",
    ):
        assert line in lines


@pytest.mark.parametrize(
    "line",
    [
        "procedure lst",
        "procedure list --pid=x",
        "procedure list --timeout=-1",
        "--nonsense",
        "procedure create",
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_json_document(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*line.split(), "--json"]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["error"]["code"] == "OET_InvalidArgument"
    assert output.err == ""
    assert run(line.split()) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Error" in output.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("oet ")


@pytest.mark.parametrize("topic", ["procedure", "procedure.lifecycle", "procedure.lifecycle.statechange"])
def test_a_topic_of_the_oet_needs_no_word(topic: str) -> None:
    assert about_topic(topic, topic_names()) == ""


@pytest.mark.parametrize(
    ("topic", "meant"),
    [
        ("procedur", "; is procedure meant?"),
        ("procedure.livecycle", "; is procedure.lifecycle meant?"),
        ("mytelescope.wind", ""),
        ("", ""),
    ],
)
def test_who_listens_to_a_topic_that_is_none_is_told(topic: str, meant: str) -> None:
    only = "only what scripts publish on one of their own is heard"
    assert about_topic(topic, topic_names()) == f"the OET has no topic {topic!r}: {only}{meant}"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stop", "No such command 'stop'. Did you mean 'oet procedure stop'?"),
        ("output", "No such command 'output'. Did you mean 'oet procedure output'?"),
        ("run", "No such command 'run'. Did you mean 'oet procedure run' or 'oet activity run'?"),
        ("statsu", "No such command 'statsu'. Did you mean 'status'?"),
        ("abort", "No such command 'abort'."),
    ],
)
def test_a_command_without_its_group_is_told_where_it_stands(
    capsys: pytest.CaptureFixture[str], typed: str, said: str
) -> None:
    assert run([typed, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == said
