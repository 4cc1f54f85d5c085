"""What requests prefer: how they are answered, and when."""

from __future__ import annotations

import pytest

from ska_oso_oet.rest.preferences import LONGEST_WAIT, Preferences


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], False),
        ([""], False),
        (["return=representation"], True),
        (["respond-async, wait=10", "Return = Representation"], True),
        (['return="representation"; foo=bar'], True),
        (["foo; return=representation"], False),
        (["return=minimal, return=representation"], False),
        (["return=representation", "return=minimal"], True),
        (["return=representations"], False),
        (["xreturn=representation"], False),
        (["return"], False),
    ],
)
def test_a_preference(headers: list[str], expected: object) -> None:
    assert Preferences.read(headers).representation is expected


@pytest.mark.parametrize(
    ("headers", "parameter", "expected"),
    [
        ([], None, None),
        (["wait=10"], None, 10.0),
        (["respond-async", "Wait = 10; x, wait=3"], None, 10.0),
        (["wait=10"], 0.5, 0.5),
        (["wait=soon"], None, None),
        (["wait=-1"], None, None),
        (["wait=99999"], None, LONGEST_WAIT),
    ],
)
def test_how_long_an_answer_may_wait(
    headers: list[str], parameter: float | None, expected: float | None
) -> None:
    assert Preferences.read(headers, parameter).wait == expected
