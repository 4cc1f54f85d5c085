"""What `oet` prints, and the exit codes."""

from __future__ import annotations

import json

import pytest

from ska_oso_oet import errors
from ska_oso_oet.cli import exit_codes, run, tables
from ska_oso_oet.cli.following import concerns, may_concern, show
from ska_oso_oet.cli.output import visible
from ska_oso_oet.client_events import Event
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary

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


def test_describe_shows_states_arguments_repository_and_stack_trace(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables.print_procedure(SUMMARY, "tango://h:1/a/b/c")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "ID Script URI",
        "2 git:///a[red].py tango://h:1/a/b/c/procedures",
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
    assert visible("tab\tand\nline é") == "tab\tand\nline é"


def _event(topic: str, source: object, data: object) -> Event:
    return Event("e", 1, 1601461778.25, topic, source, None, data)


@pytest.mark.parametrize(
    ("event", "ours", "shown"),
    [
        (_event("procedure.lifecycle.statechange", "2", {"new_state": "READY"}), True, True),
        (_event("procedure.lifecycle.statechange", "3", {"new_state": "READY"}), False, False),
        (_event("procedure.lifecycle.ready", "SESWorker", {"result": {"id": 2}}), True, True),
        (_event("procedure.output", "SESWorker", {"procedure_id": 3, "lines": []}), False, False),
        (_event("user.script.announce", "hello_world", {"msg": "hi"}), False, True),
        (_event("user.script.announce", "3", {"msg": "hi"}), False, False),
        (_event("request.procedure.list", "x", None), False, False),
    ],
)
def test_following_shows_what_concerns_the_procedure(event: Event, *, ours: bool, shown: bool) -> None:
    assert concerns(event, 2) is ours
    assert may_concern(event, 2) is shown


def test_following_prints_a_line_for_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    show(_event("procedure.lifecycle.statechange", "2", {"new_state": "READY"}), 2)
    show(_event("procedure.lifecycle.ready", "x", {"result": {"id": 2}}), 2)
    show(_event("procedure.output", "x", {"procedure_id": 2, "lines": [{"text": "one"}, {"text": "two"}]}), 2)
    show(_event("procedure.progress", "2", {"progress": 40, "message": "scan 2"}), 2)
    show(_event("scan.lifecycle.start", "2", {"scan_id": 1}), 2)
    assert capsys.readouterr().out.splitlines() == [
        "10:29:38.250 state READY",
        "10:29:38.250 | one",
        "10:29:38.250 | two",
        "10:29:38.250 progress 40 % scan 2",
        '10:29:38.250 scan.lifecycle.start 2: {"scan_id": 1}',
    ]


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
