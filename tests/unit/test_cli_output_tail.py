"""The output of a procedure from events that leave lines out."""

from __future__ import annotations

from typing import Any

import pytest

from ska_oso_oet.cli.output_tail import Lost, OutputTail
from ska_oso_oet.errors import ControllerUnreachable, NotFound, OetError


class Kept:
    """What GetOutput answers: lines `first` to `last`."""

    def __init__(self, first: int = 1, last: int = 0) -> None:
        self.first, self.last = first, last
        self.asked: list[int] = []
        self.error: OetError | None = None

    def __call__(self, since: int) -> dict[str, Any]:
        self.asked.append(since)
        if self.error is not None:
            raise self.error
        first = max(since + 1, self.first)
        return {
            "procedure_id": 1,
            "last_line": self.last,
            "dropped": first - since - 1,
            "lines": lines(first, self.last),
        }


def lines(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"line": number, "time": 1.0, "stream": "stdout", "text": f"line {number}"}
        for number in range(first, last + 1)
    ]


def read(tail: OutputTail, first: int, last: int, skipped: int = 0) -> list[object]:
    return numbers(tail.on_output({"procedure_id": 1, "skipped": skipped, "lines": lines(first, last)}))


def numbers(items: Any) -> list[object]:
    return [item if isinstance(item, Lost) else item.number for item in items]


def test_events_without_a_gap_need_no_question() -> None:
    kept = Kept()
    tail = OutputTail(kept)
    assert read(tail, 5, 6) == [5, 6]  # what was written before is not asked for
    assert read(tail, 7, 7) == [7]
    assert kept.asked == []


def test_skipped_lines_are_fetched_and_none_comes_twice() -> None:
    kept = Kept(1, 12)
    tail = OutputTail(kept)
    assert read(tail, 8, 10, skipped=7) == list(range(1, 13))
    assert read(tail, 11, 13) == [13]
    assert kept.asked == [0]


def test_lines_that_are_gone_are_counted() -> None:
    kept = Kept(6, 10)
    tail = OutputTail(kept, since=2)
    assert numbers(tail.rest()) == [Lost(3), 6, 7, 8, 9, 10]
    kept.first, kept.last = 31, 30
    assert numbers(tail.rest()) == [Lost(20)]
    assert read(tail, 31, 31) == [31]


def test_a_controller_that_is_away_costs_no_line() -> None:
    kept = Kept(1, 9)
    tail = OutputTail(kept, since=0)
    kept.error = ControllerUnreachable("away")
    assert read(tail, 4, 5, skipped=3) == []
    kept.error = None
    assert read(tail, 8, 9) == list(range(1, 10))


def test_a_procedure_that_has_left_the_history_has_lost_what_was_skipped() -> None:
    kept = Kept()
    kept.error = NotFound("gone")
    tail = OutputTail(kept, since=0)
    assert read(tail, 4, 5, skipped=3) == [Lost(3), 4, 5]
    with pytest.raises(NotFound):
        numbers(tail.rest())


def test_an_event_without_lines_says_nothing() -> None:
    assert numbers(OutputTail(Kept()).on_output({"procedure_id": 1, "lines": []})) == []
