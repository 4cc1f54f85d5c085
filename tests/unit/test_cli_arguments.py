"""The arguments of a script on the command line."""

from __future__ import annotations

import json
from contextlib import chdir
from typing import TYPE_CHECKING, Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.cli.arguments import literal, split, with_flag_values, with_values
from ska_oso_oet.cli.naming import chosen, number_of, refuse_lone_number
from ska_oso_oet.client.requests import as_script
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("14.0", 14.0),
        ("-3", -3),
        ("hello", "hello"),
        ("'14'", "14"),
        ("", ""),
        ("true", True),
        ("True", True),
        ("false", False),
        ("null", None),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ("(1, (2, 3))", [1, [2, 3]]),
        ("{'a': (1,)}", {"a": [1]}),
        ("007", "007"),
        ("1if", "1if"),
        ("{1, 2}", "{1, 2}"),
        ("{1: 2}", "{1: 2}"),
        ("b'x'", "b'x'"),
        ("1e999", "1e999"),
        ("2j", "2j"),
        ("...", "..."),
        ("__import__('os')", "__import__('os')"),
        ("[" * 3000, "[" * 3000),
    ],
)
def test_a_value_is_a_literal_where_it_is_one(text: str, value: Any) -> None:
    result = literal(text)
    assert result == value
    assert type(result) is type(value)


@given(st.text())
def test_any_text_becomes_something_that_json_can_carry(text: str) -> None:
    json.dumps(literal(text), allow_nan=False)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_what_python_writes_is_read_back(value: Any) -> None:
    assert literal(repr(value)) == value


def test_arguments_are_sorted_by_function() -> None:
    calls = split(["a", "--x=1", "-5", "--init.y=true", "--main.z=[1]", "2"], "main")
    assert calls["main"].args == ["a", -5, 2]
    assert calls["main"].kwargs == {"x": 1, "z": [1]}
    assert calls["init"].args == []
    assert calls["init"].kwargs == {"y": True}


def test_a_value_may_hold_equal_signs_and_dots() -> None:
    assert split(["--x=a=b.c"], "init")["init"].kwargs == {"x": "a=b.c"}


@pytest.mark.parametrize("token", ["--x", "-x", "-x=1", "--=1", "--a-b=1", "--init.=1", "--"])
def test_an_argument_by_name_has_one_form(token: str) -> None:
    with pytest.raises(InvalidArgument, match=r"--key=value"):
        split([token], "main")


def test_a_misspelt_option_does_not_reach_the_script() -> None:
    with pytest.raises(InvalidArgument, match=r"--subarray_id meant.*--main\.subaray_id="):
        split(["--subaray_id=2"], "main", ["--subarray_id", "--pid"])
    assert split(["--main.subaray_id=2"], "main", ["--subarray_id"])["main"].kwargs == {"subaray_id": 2}


def test_text_that_the_terminal_did_not_encode_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="encoding"):
        split(["caf\udce9"], "main")


def test_flags_may_stand_alone() -> None:
    given_flags = ["--listen", "--no-listen", "--create-env", "--no_run_abort", "--listen=False", "listen"]
    assert with_flag_values(given_flags) == [
        "--listen=true",
        "--listen=false",
        "--create-env=true",
        "--run_abort=false",
        "--listen=False",
        "listen",
    ]


@pytest.mark.parametrize(
    ("given_flags", "meant"),
    [
        ("--listen false SKA", ["--listen=false", "SKA"]),
        ("--run-abort False 5", ["--run-abort=False", "5"]),
        ("--listen true true", ["--listen=true", "true"]),
        ("--listen SKA false", ["--listen=true", "SKA", "false"]),
        ("--no-listen false", ["--listen=false", "false"]),
        ("--listen=true false", ["--listen=true", "false"]),
        ("--scans=2 false", ["--scans=2", "false"]),
    ],
)
def test_the_word_behind_a_flag_is_its_value_and_no_argument_of_the_script(
    given_flags: str, meant: list[str]
) -> None:
    assert with_flag_values(given_flags.split()) == meant


@pytest.mark.parametrize(
    ("number", "option", "meant"), [(5, None, 5), (None, 5, 5), (5, 5, 5), (None, None, None)]
)
def test_a_number_alone_is_an_id(number: int | None, option: int | None, meant: int | None) -> None:
    assert chosen(number, option) == meant


def test_two_numbers_are_one_too_many() -> None:
    with pytest.raises(InvalidArgument, match="5 and 6"):
        chosen(5, 6)


@pytest.mark.parametrize("tokens", [["5"], ["--scans=2", "5"]])
def test_a_start_that_means_two_things_is_refused_with_both_ways_to_write_it(tokens: list[str]) -> None:
    with pytest.raises(InvalidArgument, match=r"start --pid=5`; .*start --pid=ID 5`"):
        refuse_lone_number(tokens, None)
    refuse_lone_number(tokens, 3)
    refuse_lone_number(["Karoo", "5"], None)


def test_a_path_is_a_script(tmp_path: Path) -> None:
    (tmp_path / "my script.py").touch()
    uri = f"{tmp_path.as_uri()}/my%20script.py"
    with chdir(tmp_path):
        for path in ("./my script.py", "my script.py", f"{tmp_path}/my script.py", uri):
            assert as_script(path) == FileSystemScript(script_uri=uri)
    assert as_script("/of/the/controller.py") == FileSystemScript(script_uri="file:///of/the/controller.py")
    for wrong in ("./nowhere.py", "observe", "ftp://host/x.py", ""):
        with pytest.raises(InvalidArgument):
            as_script(wrong)


def test_none_as_text_says_as_little_as_nothing() -> None:
    assert with_values(git_repo=None, git_branch="main", git_commit="None", subarray_id="none") == {
        "git_branch": "main"
    }


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1.0", ""])
def test_what_is_no_id_is_refused_in_plain_words(text: str) -> None:
    assert number_of("7") == 7
    with pytest.raises(typer.BadParameter, match="an ID is a whole number from 1 on, not"):
        number_of(text)
