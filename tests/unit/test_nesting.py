"""Levels of JSON are counted without recursion, however many there are."""

from __future__ import annotations

from typing import Any

import pytest

from ska_oso_oet.nesting import is_nested_deeper


def nested(levels: int, inner: Any = 1) -> Any:
    for level in range(levels):
        inner = {"in": inner, "beside": []} if level % 2 else [inner, "text"]
    return inner


@pytest.mark.parametrize("value", [1, "text", None])
def test_what_has_no_parts_has_no_levels(value: Any) -> None:
    assert not is_nested_deeper(value, 0)


@pytest.mark.parametrize("levels", [1, 2, 3, 100])
def test_levels_are_counted(levels: int) -> None:
    assert not is_nested_deeper(nested(levels), levels)
    assert is_nested_deeper(nested(levels), levels - 1)


@pytest.mark.parametrize("inner", [[], {}])
def test_what_is_empty_is_a_level(inner: Any) -> None:
    assert is_nested_deeper(nested(2, inner), 2)
    assert not is_nested_deeper(nested(2, inner), 3)


def test_there_may_be_more_levels_than_python_could_call() -> None:
    assert is_nested_deeper(nested(20_000), 10_000)
