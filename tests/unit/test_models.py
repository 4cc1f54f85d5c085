"""JSON shapes: immutable, strict, and always fit for a Tango string."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model


class Inner(Model):
    count: int


class Sample(Model):
    name: str
    inner: Inner | None = None


def test_text_and_objects_are_read_alike() -> None:
    expected = Sample(name="x", inner=Inner(count=1))
    assert Sample.parse('{"name": "x", "inner": {"count": 1}}') == expected
    assert Sample.parse(b'{"name": "x", "inner": {"count": 1}}') == expected
    assert Sample.parse({"name": "x", "inner": {"count": 1}}) == expected


def test_every_fault_is_named_by_its_path() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Sample.parse('{"inner": {"count": "many"}, "colour": "red"}')
    said = str(caught.value)
    assert "name: Field required" in said
    assert "inner.count: Input should be a valid integer" in said
    assert "(got 'many')" in said
    assert "colour: Extra inputs are not permitted" in said


def test_no_text_at_all_is_no_json() -> None:
    for nothing in ("", "  ", b""):
        with pytest.raises(InvalidArgument, match="nothing was sent, where JSON is expected"):
            Sample.parse(nothing)


def test_a_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Sample.parse(json.dumps({"name": ["x" * 100_000]}))
    assert len(str(caught.value)) < 300


def test_an_object_does_not_change() -> None:
    with pytest.raises(ValidationError):
        setattr(Sample(name="x"), "name", "y")  # noqa: B010 - a plain assignment is refused by mypy already


@pytest.mark.parametrize("text", ["plain", "é\u2713", "\U0001f52d", "\udcff", "\0", 'quo"te\\'])
def test_json_is_ascii_and_means_the_same(text: str) -> None:
    made = Sample.model_construct(name=text, inner=None).to_json()
    assert made.isascii()
    assert json.loads(made) == {"name": text, "inner": None}
