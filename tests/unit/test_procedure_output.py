"""The output buffer: lines whatever the chunks, bounded whatever the amount, and an honest count."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.procedure.output import (
    MAX_CHARACTERS,
    MAX_LINE,
    MAX_LINES,
    OutputBuffer,
    OutputRecorder,
)


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
        pytest.param(b"x\n", 40, id="short"),
        pytest.param(b"\n", 10, id="empty"),
        pytest.param(b"x" * 1000 + b"\n", 20, id="long"),
        pytest.param(b"x" * 1000 + b"\r\n", 20, id="windows"),
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


# ------------------------------------------------------------ lines that have no end yet


def test_a_line_without_an_end_is_told_as_far_as_it_has_come_and_no_part_twice() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"slewing ... ", 0.0)
    assert buffer.unfinished
    buffer.close_unfinished(0.8)
    assert texts(buffer) == ["slewing ... "]
    assert not buffer.unfinished
    buffer.feed("stdout", b"done\nnext\n", 1.0)
    assert texts(buffer) == ["slewing ... ", "done", "next"]


def test_an_end_that_comes_later_is_no_empty_line() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", b"one", 0.0)
    buffer.close_unfinished(0.8)
    buffer.feed("stdout", b"\n\ntwo\n", 1.0)
    assert texts(buffer) == ["one", "", "two"]


def test_a_line_that_is_written_anew_is_shown_as_a_terminal_shows_it() -> None:
    buffer = OutputBuffer()
    buffer.feed("stderr", b"\r10 %\r20 %", 0.0)
    buffer.close_unfinished(0.8)
    buffer.feed("stderr", b"\r30 %\r", 1.0)
    buffer.close_unfinished(1.8)
    buffer.feed("stderr", b"\r90 %\r100 %\r\n", 2.0)
    assert texts(buffer) == ["20 %", "30 %", "100 %"]


def test_a_character_that_has_come_by_half_is_not_told() -> None:
    buffer = OutputBuffer()
    buffer.feed("stdout", "né".encode()[:-1], 0.0)
    buffer.close_unfinished(0.8)
    buffer.feed("stdout", "é".encode()[1:], 1.0)
    buffer.close_unfinished(1.8)
    assert texts(buffer) == ["n", "é"]


def test_a_recorder_tells_a_line_without_an_end_within_a_second() -> None:
    now = 0.0
    calls: list[tuple[float, Any]] = []
    announced: list[str] = []
    recorder = OutputRecorder(
        lambda: now,
        lambda delay, function, *args: calls.append((now + delay, lambda: function(*args))),
        lambda _, lines, __: announced.extend(line.text for line in lines),
    )
    recorder.open(1)
    for step in range(30):
        now = step / 10
        recorder.write(1, "stdout", b"\rscan %d" % step)
        for call in [call for call in calls if call[0] <= now]:
            calls.remove(call)
            call[1]()
    told = [int(text.removeprefix("scan ")) for text in announced]
    assert len(told) >= 2
    assert all(later - earlier <= 10 for earlier, later in itertools.pairwise([0, *told, 29]))
    recorder.close(1)
    assert announced[-1] == "scan 29"
    recorder.forget(1)
    for _, function in calls:
        function()
