"""Which subarrays arguments name, which a controller may command, and which is meant where none is said."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.activity.domain import ActivityCommand
from ska_oso_oet.errors import InvalidArgument, SubarrayNotAllowed
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureInput
from ska_oso_oet.procedure.exclusivity import Exclusivity, held_by, holder_for
from ska_oso_oet.procedure.subarrays import ALL, Subarrays, left_open, named_in
from ska_oso_oet.rest.requests import NewProcedure, ProcedureUpdate
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = {"script_type": "filesystem", "script_uri": "file:///x.py"}
WRONG = [
    {"subarray_id": -1},
    {"subarray_id": 0},
    {"subarray_id": 1.5},
    {"subarray_id": 1.0},
    {"subarray_id": True},
    {"subarray_id": "0"},
    {"subarray_id": "one"},
    {"subarray_id": "-1"},
    {"subarray_id": "1.0"},
    {"subarray_id": "²"},
    {"subarray_id": ""},
    {"subarray_id": [1]},
    {"subarray_ids": 1},
    {"subarray_ids": []},
    {"subarray_ids": [1, "two"]},
    {"subarray_ids": [1, True]},
    {"subarray_ids": [0]},
]


def prepare(init: dict[str, Any], main: dict[str, Any]) -> object:
    args = {"init": {"kwargs": init}, "main": {"kwargs": main}}
    return PrepareProcessCommand.parse({"script": SCRIPT, "script_args": args})


def start(init: dict[str, Any], main: dict[str, Any]) -> object:
    return StartProcessCommand.parse({"script_args": {"run": {"kwargs": {**init, **main}}}})


def run_activity(init: dict[str, Any], main: dict[str, Any]) -> object:
    args = {"init": {"kwargs": init}, "main": {"kwargs": main}}
    return ActivityCommand.parse({"activity_name": "observe", "sbd_id": "sbd-1", "script_args": args})


def post(init: dict[str, Any], main: dict[str, Any]) -> object:
    args = {"init": {"kwargs": init}, "run": {"kwargs": main}}
    return NewProcedure.parse({"script_uri": "file:///x.py", "script_args": args}).command()


def post_script(init: dict[str, Any], main: dict[str, Any]) -> object:
    args = {"init": {"kwargs": init}, "run": {"kwargs": main}}
    return NewProcedure.parse({"script": SCRIPT, "script_args": args}).command()


def put(init: dict[str, Any], main: dict[str, Any]) -> object:
    args = {"run": {"kwargs": {**init, **main}}}
    return ProcedureUpdate.parse({"state": "RUNNING", "script_args": args}).start(1)


DOORS = [prepare, start, run_activity, post, post_script, put]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_no_whole_number_from_1_on_is_refused_at_every_door(
    door: Callable[..., object], wrong: dict[str, Any]
) -> None:
    [name] = wrong
    for init, main in ((wrong, {}), ({}, wrong)):
        with pytest.raises(
            InvalidArgument, match=f"kwargs.{name}.*: Input should be|kwargs.{name}: List should"
        ):
            door(init, main)


@pytest.mark.parametrize("door", DOORS)
def test_numbers_and_nothing_are_accepted(door: Callable[..., object]) -> None:
    for right in ({}, {"subarray_id": None}, {"subarray_id": 3}, {"subarray_ids": [1, 2]}, {"other": "1"}):
        door(right, {})
        door({}, right)


@pytest.mark.parametrize("door", DOORS)
def test_a_number_that_is_written_as_text_is_that_number(door: Callable[..., object]) -> None:
    for text, number in (
        ({"subarray_id": "1"}, {"subarray_id": 1}),
        ({"subarray_ids": ["1", 2]}, {"subarray_ids": [1, 2]}),
    ):
        more = {"gain": "1"}
        assert door({**text, **more}, {}) == door({**number, **more}, {})
        assert door({}, text) == door({}, number)


def test_every_subarray_that_is_named_counts_once() -> None:
    assert named_in({"subarray_id": 3}, {"subarray_ids": [1, 3]}) == [3, 1]
    assert named_in({"subarray_ids": [2, 1]}, {}) == [2, 1]
    # What an earlier version of this program has recorded is still read.
    assert named_in({"subarray_id": True}, {"subarray_id": "1", "subarray_ids": "12"}) == []


def procedure(number: int, **init: Any) -> Procedure:
    script = FileSystemScript(script_uri="file:///x.py")
    return Procedure(number, script, CallArgs(init=ProcedureInput(**init)), created_at=0.0)


def test_one_of_several_subarrays_that_is_held_stands_in_the_way() -> None:
    several = procedure(1, subarray_ids=[1, 2])
    assert several.summary().subarray_ids == [1, 2]
    assert several.summary().subarray_id == 1
    for other, conflict in ((procedure(2, subarray_id=2), True), (procedure(2, subarray_id=3), False)):
        assert holder_for(several, [other], Exclusivity.SUBARRAY) is (other if conflict else None)
        assert holder_for(other, [several], Exclusivity.SUBARRAY) is (several if conflict else None)
    assert held_by(several).endswith("holds subarrays 1, 2")


# ------------------------------------------------------------ which ones a controller may command


@pytest.mark.parametrize(
    ("text", "ids", "every", "said"),
    [
        ("all", (1, 2, 3, 4), True, "1-4"),
        (" ALL ", (1, 2, 3, 4), True, "1-4"),
        ("", (1, 2, 3, 4), True, "1-4"),
        ("1-4", (1, 2, 3, 4), True, "1-4"),
        ("2", (2,), False, "2"),
        ("4, 1-2 ,2", (1, 2, 4), False, "1-2, 4"),
        ("1,", (1,), False, "1"),
    ],
)
def test_the_setting_is_read(text: str, ids: tuple[int, ...], every: bool, said: str) -> None:  # noqa: FBT001
    found = Subarrays.read(text, 4)
    assert (found.ids, found.every, str(found)) == (
        ids,
        every,
        f"subarray{'s' if len(ids) > 1 else ''} {said}",
    )


@pytest.mark.parametrize("text", ["0", "5", "3-5", "2-1", "-1", "1-", "one", "1.5", "1;2", ",", "²"])
def test_a_setting_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"range|within|no subarray"):
        Subarrays.read(text, 4)


def test_what_a_controller_may_not_command_is_refused_and_what_it_may_is_named() -> None:
    mine = Subarrays.read("2,3", 16)
    mine.check([])
    mine.check([3, 2])
    with pytest.raises(SubarrayNotAllowed, match=r"commands subarrays 2-3, not subarray 1 and 4 \(propert"):
        mine.check([1, 2, 4])
    with pytest.raises(SubarrayNotAllowed, match=r"procedure 7 .* names no subarray.* subarrays 2-3 "):
        mine.check_start(7, [])
    ALL.check_start(7, [])
    with pytest.raises(SubarrayNotAllowed, match=r"commands subarrays 1-16, not subarray 17"):
        ALL.check([17])


# ------------------------------------------------------------ where none is said


def must(subarray_id: int) -> None: ...
def must_by_keyword(*, subarray_id: int) -> None: ...
def may(colour: str = "grey", subarray_id: int = 3) -> None: ...
def may_do_without(subarray_id: int | None = None) -> None: ...
def takes_none(colour: str = "grey") -> None: ...
def takes_anything(*args: Any, **kwargs: Any) -> None: ...
def takes_others(**subarray_id: Any) -> None: ...
def by_position(subarray_id: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (must, (), 2),
        (must_by_keyword, (), 2),
        (functools.partial(must), (), 2),
        (functools.partial(must, subarray_id=5), (), 5),
        (functools.partial(must, 5), (), None),
        (must, (4,), None),
        (must, (4, 5), None),
        (may, (), 3),
        (may, ("red",), 3),
        (may, ("red", 4), None),
        (may_do_without, (), None),
        (takes_none, (), None),
        (takes_anything, (), None),
        (takes_others, (), None),
        (by_position, (), None),
        (int, (), None),
    ],
)
def test_a_function_gets_a_subarray_only_if_it_takes_one(
    function: Callable[..., object], args: tuple[Any, ...], expected: int | None
) -> None:
    assert left_open(function, args, 2) == expected
