"""The output buffer: lines whatever the chunks, bounded whatever the amount, and an honest count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.procedure.output import MAX_CHARACTERS, MAX_LINE, MAX_LINES, OutputBuffer


def told(buffer: OutputBuffer, since: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(buffer.to_json(1, since))
    return answer


def texts(buffer: OutputBuffer) -> list[str]:
    return [line.text for line in buffer.after(0)]


@given(
    st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=200),
    st.data(),
)
def test_any_split_of_the_output_gives_the_same_lines(text: str, data: Any) -> None:
    stream = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer = OutputBuffer()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer.feed("stdout", stream[start:end], 1.0)
    buffer.finish(1.0)
    expected = text.split("\n")
    assert texts(buffer) == (expected if expected[-1] else expected[:-1])


def test_a_line_has_its_number_time_and_stream() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"one\n", 1.5)
    buffer.feed("stderr", b"two\n", 2.5)
    assert told(buffer) == {
        "procedure_id": 1,
        "last_line": 2,
        "dropped": 0,
        "lines": [
            {"line": 1, "time": 1.5, "stream": "stdout", "text": "one"},
            {"line": 2, "time": 2.5, "stream": "stderr", "text": "two"},
        ],
    }


def test_streams_do_not_mix_within_a_line() -> None:
    buffer = OutputBuffer()
    for stream, data in (("stdout", b"out "), ("stderr", b"err "), ("stdout", b"1\n"), ("stderr", b"2\n")):
        buffer.feed(stream, data, 0.0)
    assert texts(buffer) == ["out 1", "err 2"]


def test_what_has_no_end_of_line_comes_at_the_end() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"one\ntwo", 0.0)
    assert texts(buffer) == ["one"]
    buffer.finish(0.0)
    assert texts(buffer) == ["one", "two"]
    buffer.finish(0.0)
    assert buffer.count == 2


def test_bytes_that_are_no_utf8_are_shown() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"\xff\xfe\n", 0.0)
    assert texts(buffer) == ["\ufffd\ufffd"]


def test_windows_line_ends_are_taken_off() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"one\r\ntwo\r\n", 0.0)
    assert texts(buffer) == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "thousands"),
    [
        pytest.param(b"x\n", 1000, id="a million"),
        pytest.param(b"\n", 10, id="empty"),
        pytest.param(b"x" * 1000 + b"\n", 20, id="long"),
        pytest.param(b"x" * 1000 + b"\r\n", 600, id="windows"),
    ],
)
def test_many_lines_leave_the_newest_and_a_count(line: bytes, thousands: int) -> None:
    buffer = OutputBuffer()
    block = line * 1000
    for _ in range(thousands):
        buffer.feed("stdout", block, 0.0)
    buffer.feed("stdout", b"last\n", 0.0)
    answer = told(buffer)
    assert answer["last_line"] == thousands * 1000 + 1
    assert answer["lines"][-1]["text"] == "last"
    assert answer["dropped"] + len(answer["lines"]) == thousands * 1000 + 1
    assert 1000 <= len(answer["lines"]) <= MAX_LINES


def test_a_line_without_end_is_cut_and_bounded() -> None:
    buffer = OutputBuffer()
    for _ in range(300):
        buffer.feed("stdout", b"x" * 65536, 0.0)
    buffer.finish(0.0)
    lines = texts(buffer)
    assert {len(line) for line in lines} == {MAX_LINE}
    assert sum(len(line) for line in lines) <= MAX_CHARACTERS
    assert buffer.count == 300 * 65536 // MAX_LINE


def test_what_comes_after_a_line() -> None:
    buffer = OutputBuffer()
    for number in range(1, MAX_LINES + 101):
        buffer.feed("stdout", b"%d\n" % number, 0.0)
    assert (told(buffer)["dropped"], told(buffer)["lines"][0]["line"]) == (100, 101)
    answer = told(buffer, since=MAX_LINES)
    assert [line["line"] for line in answer["lines"]] == list(range(MAX_LINES + 1, MAX_LINES + 101))
    assert answer["dropped"] == 0
    assert told(buffer, since=MAX_LINES + 100) == {
        "procedure_id": 1,
        "last_line": MAX_LINES + 100,
        "dropped": 0,
        "lines": [],
    }
