"""Activities: their states, the request for one, and the arguments of their scripts."""

from __future__ import annotations

from typing import Any

import pytest

from ska_oso_oet.activity.domain import (
    NEXT,
    Activity,
    ActivityArgs,
    ActivityCommand,
    ActivityState,
    steps,
)
from ska_oso_oet.errors import InvalidArgument, Rejected
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput

S = ActivityState


def command(**request: Any) -> ActivityCommand:
    return ActivityCommand.parse({"activity_name": "observe", "sbd_id": "sbd-1"} | request)


def test_three_states_are_final() -> None:
    assert {state for state in S if state.final} == {S.COMPLETE, S.FAILED, S.STOPPED}


@pytest.mark.parametrize("state", [state for state in S if not state.final])
def test_what_is_live_can_fail_and_be_stopped(state: ActivityState) -> None:
    assert {S.FAILED, S.STOPPED} <= NEXT[state]


@pytest.mark.parametrize(
    ("state", "to", "path"),
    [
        (S.REQUESTED, S.PREPARED, (S.PREPARED,)),
        (S.REQUESTED, S.COMPLETE, (S.PREPARED, S.RUNNING, S.COMPLETE)),
        (S.PREPARED, S.COMPLETE, (S.RUNNING, S.COMPLETE)),
        (S.REQUESTED, S.FAILED, (S.FAILED,)),
        (S.RUNNING, S.STOPPED, (S.STOPPED,)),
        (S.RUNNING, S.PREPARED, ()),
        (S.RUNNING, S.RUNNING, ()),
        (S.COMPLETE, S.FAILED, ()),
    ],
)
def test_steps_lead_forward_only(
    state: ActivityState, to: ActivityState, path: tuple[ActivityState, ...]
) -> None:
    assert steps(state, to) == path


def test_a_step_that_is_not_in_the_table_is_refused() -> None:
    activity = Activity(1, command(), 5.0)
    with pytest.raises(Rejected, match="activity 1 is REQUESTED and cannot become RUNNING"):
        activity.advance(S.RUNNING, 6.0)
    assert activity.states == [(S.REQUESTED, 5.0)]


def test_a_summary_has_the_documented_shape() -> None:
    activity = Activity(1, command(script_args={"init": {"kwargs": {"foo": "bar"}}}), 5.0, "cmd")
    activity.advance(S.PREPARED, 6.5)
    assert activity.summary().to_dict() == {
        "id": 1,
        "command_id": "cmd",
        "procedure_id": None,
        "sbd_id": "sbd-1",
        "sbd_version": None,
        "sbi_id": None,
        "activity_name": "observe",
        "prepare_only": False,
        "script_args": {"init": {"args": [], "kwargs": {"foo": "bar"}}, "main": {"args": [], "kwargs": {}}},
        "activity_states": [["REQUESTED", 5.0], ["PREPARED", 6.5]],
        "state": "PREPARED",
        "message": None,
        "requester": None,
    }


def test_a_summary_stays_what_it_was() -> None:
    activity = Activity(1, command(), 5.0)
    before = activity.summary()
    activity.advance(S.FAILED, 6.0)
    assert before.activity_states == [(S.REQUESTED, 5.0)]
    assert before.created_at == 5.0


def test_the_least_request() -> None:
    least = command()
    assert (least.sbd_version, least.prepare_only, least.create_env) == (None, False, False)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"colour": 1}, "colour: Extra inputs"),
        ({"activity_name": ""}, "activity_name"),
        ({"sbd_id": 5}, "sbd_id"),
        ({"sbd_version": 0}, "sbd_version"),
        ({"sbd_version": "1"}, "sbd_version"),
        ({"prepare_only": "yes"}, "prepare_only"),
        ({"create_env": 1}, "create_env"),
        ({"script_args": {"init": {"args": [1]}}}, "script_args.init: .*only keyword arguments"),
        ({"script_args": {"init": {"kwargs": [1]}}}, "script_args.init.kwargs"),
        ({"script_args": {"init": {"kwargs": {}, "x": 1}}}, "script_args.init.x"),
        ({"script_args": {"start": {}}}, "script_args.start"),
        ({"script_args": {"main": {}, "run": {}}}, "script_args.run"),
        ({"script_args": {"main": {"kwargs": {"sb_json": "/x"}}}}, "main.kwargs.sb_json: .*by the OET"),
        ({"script_args": {"run": {"kwargs": {"sbi_id": "x"}}}}, "main.kwargs.sbi_id: .*by the OET"),
        ({"script_args": {"init": {"kwargs": {"x": float("nan")}}}}, "script_args.init.kwargs"),
    ],
)
def test_a_wrong_request_names_the_key(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        command(**request_)


def test_run_is_main_and_no_positional_arguments_are_none() -> None:
    args = command(script_args={"run": {"args": [], "kwargs": {"n": 1}}}).script_args
    assert args.main.kwargs == {"n": 1}


def test_the_users_keywords_win_and_positional_ones_stay() -> None:
    given = CallArgs(init=ProcedureInput(1, "foo", a=1, b=2), main=ProcedureInput(2, c=3))
    user = ActivityArgs.parse({"init": {"kwargs": {"b": 5, "d": 6}}, "main": {"kwargs": {"e": 7}}})
    assert user.over(given) == CallArgs(
        init=ProcedureInput(1, "foo", a=1, b=5, d=6), main=ProcedureInput(2, c=3, e=7)
    )


@pytest.mark.parametrize("prepare_only", [False, True])
def test_a_request_is_done_when_the_activity_has_ended_or_waits_as_asked(prepare_only: bool) -> None:  # noqa: FBT001
    activity = Activity(1, command(prepare_only=prepare_only), 5.0)
    done = [activity.summary().request_done]
    for state in (S.PREPARED, S.RUNNING, S.COMPLETE):
        activity.advance(state, 6.0)
        done.append(activity.summary().request_done)
    assert done == [False, prepare_only, prepare_only, True]
