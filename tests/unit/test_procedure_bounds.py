"""What scripts and clients say is shown up to a bound, and it is said what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.activity.domain import Activity, ActivityCommand
from ska_oso_oet.errors import Rejected
from ska_oso_oet.procedure.bounds import (
    MAX_ARGS,
    MAX_NAME,
    MAX_SOURCE,
    MAX_STACKTRACE,
    MAX_WORDS,
    cut,
    cut_front,
    shown_args,
    shown_script,
)
from ska_oso_oet.procedure.domain import (
    MAX_STATES,
    CallArgs,
    Procedure,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from ska_oso_oet.procedure.record import Record
from ska_oso_oet.procedure.reports import Left, Raised
from ska_oso_oet.source.script import EmbeddedStringScript, FileSystemScript, GitArgs, GitScript

S = ProcedureState
HUGE = 1_000_000
VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
TIMES = st.sampled_from([0, 1, 10, 300])


@pytest.mark.parametrize("shorten", [cut, cut_front])
def test_a_text_is_cut_once_and_says_how_long_it_was(shorten: Any) -> None:
    assert shorten("x" * 100, 100) == "x" * 100
    shown = shorten("x" * 101, 100)
    assert len(shown) == 100
    assert "cut: 101 characters" in shown
    assert shorten(shown, 100) == shown
    assert cut("abc" * 100, 100).startswith("abc")
    assert cut_front("abc" * 100, 100).endswith("abc")


def test_what_is_small_is_shown_as_it_is() -> None:
    arguments = CallArgs(init=ProcedureInput("x" * 1000, subarray_id=1))
    assert shown_args(arguments) is arguments
    script = GitScript(script_uri="git:///a.py")
    assert shown_script(script) is script


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.text(), VALUES, max_size=4), TIMES, TIMES)
def test_arguments_are_shown_up_to_a_bound_and_only_cut_once(
    values: list[Any], named: dict[str, Any], times: int, more: int
) -> None:
    args: list[Any] = [[value] * times for value in values * min(more, 100)]
    kwargs: dict[str, Any] = {
        f"{name * more}{n}": [value] * times for n in range(40) for name, value in named.items()
    }
    call = ProcedureInput(*args, **kwargs)
    shown = shown_args(CallArgs(init=call))
    assert len(json.dumps(shown.init.to_dict())) <= MAX_ARGS + 50
    assert shown_args(shown) is shown
    if shown.init is not call:
        assert "cut: " in json.dumps(shown.to_dict())


def test_values_of_many_levels_are_shown_as_text_and_those_of_few_as_they_are() -> None:
    """Who reads a summary may have a library that reads some 200 levels, and a list has a few of its own."""
    deep: Any = 1
    for _ in range(190):
        deep = [deep]
    arguments = CallArgs(main=ProcedureInput(deep, {"a": [1]}, subarray_id=1, colours=deep))
    shown = shown_args(arguments).main
    assert shown.args == ["[" * 190 + "1" + "]" * 190, {"a": [1]}]
    assert shown.kwargs == {"subarray_id": 1, "colours": shown.args[0]}
    assert arguments.main.args[0] == deep


def test_the_subarray_is_shown_beside_arguments_that_are_cut() -> None:
    call = ProcedureInput("x" * HUGE, subarray_id=7, targets=["é"] * HUGE)
    shown = shown_args(CallArgs(main=call)).main
    assert shown.kwargs["subarray_id"] == 7
    assert len(shown.to_json()) < MAX_ARGS


@pytest.mark.parametrize(
    ("script", "limit"),
    [
        (FileSystemScript(script_uri="file:///" + "x" * HUGE), MAX_NAME),
        (EmbeddedStringScript(script_source="x" * HUGE, script_name="y" * HUGE), MAX_SOURCE + MAX_NAME),
        (
            GitScript(
                script_uri="git:///" + "x" * HUGE,
                git_args=GitArgs(git_repo="x" * HUGE, git_branch="y" * HUGE, git_commit="z" * HUGE),
            ),
            4 * MAX_NAME,
        ),
    ],
)
def test_a_script_is_shown_up_to_a_bound(script: Any, limit: int) -> None:
    procedure = Procedure(1, script, CallArgs(), created_at=1.0)
    shown = procedure.summary().script
    assert len(shown.to_json()) < limit + 500
    assert shown_script(shown) is shown
    assert procedure.script is script


def test_progress_is_shown_up_to_a_bound() -> None:
    record = Record(Procedure(1, FileSystemScript(script_uri="file:///a.py"), CallArgs(), created_at=1.0))
    assert record.note_progress({"progress": 18, "message": "x" * HUGE})
    progress = record.procedure.summary().progress
    assert progress is not None
    assert len(progress.message) == MAX_WORDS
    assert "cut: 1000000 characters" in progress.message


def test_a_report_is_taken_up_to_a_bound_whoever_wrote_it() -> None:
    raised = Raised(message="x" * HUGE, stacktrace="y" * HUGE + "ValueError")
    assert len(raised.message) == MAX_WORDS
    assert raised.stacktrace is not None
    assert len(raised.stacktrace) == MAX_STACKTRACE
    assert raised.stacktrace.endswith("ValueError")
    assert len(Left(code=1, message="x" * HUGE).message) == MAX_WORDS


def test_a_record_that_is_larger_is_still_read() -> None:
    procedure = Procedure(1, FileSystemScript(script_uri="file:///a.py"), CallArgs(), created_at=1.0)
    content = procedure.summary().to_dict()
    content["progress"] = {"percent": 18.0, "message": "x" * HUGE}
    content["script_args"]["main"]["kwargs"] = {"big": "x" * HUGE}
    content["script"]["script_uri"] += "x" * HUGE
    content["history"]["stacktrace"] = "x" * HUGE
    content["exit"] = {"cause": "raised", "message": "x" * HUGE}
    read = ProcedureSummary.parse(json.dumps(content))
    assert len(read.to_json()) < MAX_STACKTRACE + MAX_ARGS + 3 * MAX_WORDS + 1000
    assert ProcedureSummary.parse(read.to_json()) == read


def test_an_activity_is_shown_up_to_a_bound() -> None:
    command = ActivityCommand.parse(
        {
            "activity_name": "x" * HUGE,
            "sbd_id": "y" * HUGE,
            "script_args": {"main": {"kwargs": {"a": "z" * HUGE}}},
        }
    )
    activity = Activity(1, command, 1.0)
    activity.message = "w" * HUGE
    assert len(activity.summary().to_json()) < MAX_ARGS + 3 * MAX_NAME + 1000


def test_a_worker_cannot_go_round_in_states_for_ever() -> None:
    procedure = Procedure(1, FileSystemScript(script_uri="file:///a.py"), CallArgs(), created_at=1.0)
    procedure.advance(S.IDLE, 2.0)

    def round_and_round() -> None:
        for _ in range(MAX_STATES):
            procedure.advance(S.LOADING, 3.0)
            procedure.advance(S.IDLE, 3.0)

    with pytest.raises(Rejected):
        round_and_round()
    assert len(procedure.states) == MAX_STATES
    procedure.advance(S.FAILED, 4.0)
