"""What requests prefer to be answered."""

from __future__ import annotations

import pytest

from ska_oso_oet.rest.answers import prefers_representation


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
    assert prefers_representation(headers) is expected
