"""States, summaries, commands and exclusivity: the rules, without a process."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.errors import InvalidArgument, Rejected
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import (
    CallArgs,
    ExitRecord,
    Procedure,
    ProcedureInput,
    ProcedureSummary,
    Progress,
)
from ska_oso_oet.procedure.domain import ProcedureState as S
from ska_oso_oet.procedure.exclusivity import Exclusivity, holder_for
from ska_oso_oet.source.script import FileSystemScript, GitScript

if TYPE_CHECKING:
    from ska_oso_oet.models import Model

ENDS = {S.COMPLETE, S.FAILED, S.STOPPED}
STEPS = {
    (S.CREATING, S.IDLE),
    (S.IDLE, S.PREP_ENV),
    (S.PREP_ENV, S.IDLE),
    (S.IDLE, S.LOADING),
    (S.LOADING, S.IDLE),
    (S.IDLE, S.INITIALISING),
    (S.INITIALISING, S.READY),
    (S.READY, S.RUNNING),
    (S.RUNNING, S.COMPLETE),
    *((live, end) for live in set(S) - ENDS for end in (S.FAILED, S.STOPPED)),
}
SCRIPT = FileSystemScript(script_uri="file:///scripts/observe.py")


def procedure(number: int = 1, state: S = S.CREATING, subarray_id: int | None = None) -> Procedure:
    arguments = CallArgs(init=ProcedureInput(subarray_id=subarray_id))
    return Procedure(number, SCRIPT, arguments, created_at=1.0, state=state)


# ------------------------------------------------------------ states


@pytest.mark.parametrize(("before", "after"), list(itertools.product(S, S)))
def test_every_pair_of_states(before: S, after: S) -> None:
    one = procedure(state=before)
    if (before, after) in STEPS:
        one.advance(after, 2.0)
        assert one.state is after
        assert one.states == [(before, 1.0), (after, 2.0)]
    else:
        with pytest.raises(Rejected, match=f"procedure 1 is {before} and cannot become {after}"):
            one.advance(after, 2.0)
        assert (one.state, one.states) == (before, [(before, 1.0)])


@pytest.mark.parametrize("state", S)
def test_a_state_is_final_when_nothing_follows(state: S) -> None:
    assert state.final == (state in ENDS)


# ------------------------------------------------------------ the commit


def test_the_commit_of_a_script_is_found_once() -> None:
    script = GitScript(script_uri="git:///observe.py")
    one = Procedure(1, script, CallArgs(), created_at=1.0)
    assert one.at_commit("a" * 40)
    assert not one.at_commit("f" * 40)
    assert isinstance(one.script, GitScript)
    assert one.script.git_args.git_commit == "a" * 40


def test_a_script_that_is_not_from_git_has_no_commit() -> None:
    assert not procedure().at_commit("a" * 40)


# ------------------------------------------------------------ summaries


def test_a_summary_survives_its_json() -> None:
    one = procedure(subarray_id=3)
    one.advance(S.IDLE, 2.25)
    one.advance(S.FAILED, 3.5)
    one.exit = ExitRecord(cause="signal", signal=9, message="killed by \u2713 signal")
    one.progress = Progress(percent=12.5, message="half")
    one.stacktrace = "Traceback …"
    summary = one.summary()
    assert summary.to_json().isascii()
    assert ProcedureSummary.parse(summary.to_json()) == summary
    assert json.loads(summary.to_json()) == summary.to_dict()
    assert summary.subarray_id == 3
    assert summary.created_at == 1.0


def test_a_summary_is_of_its_moment() -> None:
    one = procedure()
    before = one.summary()
    one.advance(S.IDLE, 2.0)
    assert before.state is S.CREATING
    assert before.history.process_states == [(S.CREATING, 1.0)]


@pytest.mark.parametrize(
    ("init", "main", "expected"),
    [
        ({"subarray_id": 1}, {}, 1),
        ({}, {"subarray_id": 2}, 2),
        ({"subarray_id": 1}, {"subarray_id": 2}, 1),
        ({}, {}, None),
        ({"subarray_id": "1"}, {}, None),
        ({"subarray_id": True}, {}, None),
        ({"subarray_id": None}, {"subarray_id": 4}, 4),
    ],
)
def test_the_subarray_among_the_arguments(
    init: dict[str, Any], main: dict[str, Any], expected: int | None
) -> None:
    arguments = CallArgs.parse({"init": {"kwargs": init}, "main": {"kwargs": main}})
    assert Procedure(1, SCRIPT, arguments, created_at=0.0).subarray_id == expected


# ------------------------------------------------------------ commands


def test_the_shortest_commands() -> None:
    uri = {"script_type": "filesystem", "script_uri": "file:///x.py"}
    prepare = PrepareProcessCommand.parse(json.dumps({"script": uri}))
    assert (prepare.script_args.init, prepare.script_args.main) == (ProcedureInput(), ProcedureInput())
    assert StartProcessCommand.parse("{}").procedure_id is None
    assert StopProcessCommand.parse("{}").run_abort is None


def test_run_is_accepted_for_main() -> None:
    given = {"procedure_id": 2, "script_args": {"run": {"args": [1], "kwargs": {"a": 2.5}}}}
    assert StartProcessCommand.parse(given).script_args.main == ProcedureInput(1, a=2.5)
    assert CallArgs.parse({"run": {"args": [1]}}).main == ProcedureInput(1)


def test_a_git_script_has_the_reference_defaults() -> None:
    script = PrepareProcessCommand.parse(
        {"script": {"script_type": "git", "script_uri": "git:///scripts/a.py"}}
    ).script
    assert isinstance(script, GitScript)
    assert (script.create_env, script.git_args.git_branch, script.git_args.git_commit) == (
        False,
        "master",
        None,
    )


F = '"script_type": "filesystem", "script_uri": "file:///x.py"'


@pytest.mark.parametrize(
    ("model", "text", "said"),
    [
        (PrepareProcessCommand, "", "nothing was sent, where JSON is expected"),
        (PrepareProcessCommand, "{", "Invalid JSON"),
        (PrepareProcessCommand, "[1, 2", "Invalid JSON"),
        (PrepareProcessCommand, "{'script': 1}", "Invalid JSON"),
        (PrepareProcessCommand, "\udcff", "unicode"),
        (PrepareProcessCommand, "null", "object"),
        (PrepareProcessCommand, "[]", "object"),
        (PrepareProcessCommand, "3", "object"),
        (PrepareProcessCommand, "{}", "script: Field required"),
        (PrepareProcessCommand, '{"script": null}', "script"),
        (PrepareProcessCommand, '{"script": "file:///x.py"}', "script"),
        (PrepareProcessCommand, '{"script": {}}', "script_type"),
        (PrepareProcessCommand, '{"script": {"script_type": "cobol"}}', "cobol"),
        (PrepareProcessCommand, '{"script": {"script_type": "filesystem"}}', "script_uri: Field required"),
        (PrepareProcessCommand, '{"script": {"script_type": "filesystem", "script_uri": 7}}', "string"),
        (PrepareProcessCommand, '{"script": {"script_type": "filesystem", "script_uri": "x.py"}}', "file://"),
        (
            PrepareProcessCommand,
            '{"script": {"script_type": "filesystem", "script_uri": "file://"}}',
            "file://",
        ),
        (
            PrepareProcessCommand,
            '{"script": {"script_type": "filesystem", "script_uri": "file:///\\u0000"}}',
            "NUL",
        ),
        (
            PrepareProcessCommand,
            '{"script": {"script_type": "filesystem", "script_uri": "file:///x%00y.py"}}',
            "NUL",
        ),
        (PrepareProcessCommand, '{"script": {"script_type": "git", "script_uri": "file:///x.py"}}', "git://"),
        (PrepareProcessCommand, f'{{"script": {{{F}, "colour": 1}}}}', "colour: Extra inputs"),
        (PrepareProcessCommand, f'{{"script": {{{F}}}, "colour": 1}}', "colour: Extra inputs"),
        (PrepareProcessCommand, f'{{"script": {{{F}}}, "script_args": []}}', "script_args"),
        (
            PrepareProcessCommand,
            f'{{"script": {{{F}}}, "script_args": {{"init": {{"args": {{}}}}}}}}',
            "init.args",
        ),
        (
            PrepareProcessCommand,
            f'{{"script": {{{F}}}, "script_args": {{"init": {{"kwargs": []}}}}}}',
            "init.kwargs",
        ),
        (
            PrepareProcessCommand,
            f'{{"script": {{{F}}}, "script_args": {{"stop": {{}}}}}}',
            "stop: Extra inputs",
        ),
        (
            PrepareProcessCommand,
            f'{{"script": {{{F}}}, "script_args": {{"main": {{}}, "run": {{}}}}}}',
            "run: Extra inputs",
        ),
        (StartProcessCommand, '{"procedure_id": "2"}', "procedure_id: Input should be a valid integer"),
        (StartProcessCommand, '{"procedure_id": 2.0}', "procedure_id"),
        (StartProcessCommand, '{"procedure_id": true}', "procedure_id"),
        (StartProcessCommand, '{"procedure_id": 0}', "greater than or equal to 1"),
        (StartProcessCommand, '{"procedure_id": -1}', "greater than or equal to 1"),
        (StartProcessCommand, '{"pid": 1}', "pid: Extra inputs"),
        (StartProcessCommand, '{"script_args": {"init": {}}}', "init: Extra inputs"),
        (StartProcessCommand, '{"script_args": {"main": {}, "run": {}}}', "run: Extra inputs"),
        (StopProcessCommand, '{"run_abort": "yes"}', "run_abort: Input should be a valid boolean"),
        (StopProcessCommand, '{"run_abort": 1}', "run_abort"),
        (StopProcessCommand, '{"procedure_id": null, "abort": true}', "abort: Extra inputs"),
    ],
)
def test_bad_input_is_named(model: type[Model], text: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        model.parse(text)
    assert said in str(caught.value)


# ------------------------------------------------------------ exclusivity


@pytest.mark.parametrize(
    ("exclusivity", "candidate", "holder", "conflict"),
    [
        (Exclusivity.SUBARRAY, 1, 1, True),
        (Exclusivity.SUBARRAY, 1, 2, False),
        (Exclusivity.SUBARRAY, 1, None, True),
        (Exclusivity.SUBARRAY, None, 1, True),
        (Exclusivity.SUBARRAY, None, None, True),
        (Exclusivity.GLOBAL, 1, 1, True),
        (Exclusivity.GLOBAL, 1, 2, True),
        (Exclusivity.GLOBAL, None, 2, True),
    ],
)
def test_who_stands_in_the_way(
    exclusivity: Exclusivity, candidate: int | None, holder: int | None, *, conflict: bool
) -> None:
    one, other = procedure(1, subarray_id=candidate), procedure(2, subarray_id=holder)
    assert holder_for(one, [other], exclusivity) is (other if conflict else None)
    assert holder_for(one, [one], exclusivity) is None
    assert holder_for(one, [], exclusivity) is None
