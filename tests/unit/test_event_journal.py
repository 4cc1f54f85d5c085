"""The journal: one order, pages without loss or repetition, honest gaps, bounded memory."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.event import journal as journal_module
from ska_oso_oet.event.journal import Event, EventJournal, EventsQuery, Origin, covers, is_reserved


def journal(length: int = 100, events: int = 0) -> EventJournal:
    made = EventJournal("e1", length, clock=lambda: 12.5)
    for number in range(events):
        made.append("a.b" if number % 2 else "a.c", Origin("me"), {"n": number})
    return made


def read(source: EventJournal, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(source.read(EventsQuery(**query)))
    return answer


def seqs(answer: dict[str, Any]) -> list[int]:
    return [event["seq"] for event in answer["events"]]


def test_an_event_is_told_whole() -> None:
    made = journal()
    event = made.append("a.b", Origin("me", "r1", 7), {"x": "\u2713\udcff"}, subject=made)
    assert event.json.isascii()
    assert json.loads(event.json) == {
        "epoch": "e1",
        "seq": 1,
        "time": 12.5,
        "topic": "a.b",
        "msg_src": "me",
        "request_id": "r1",
        "procedure_id": 7,
        "data": {"x": "\u2713\udcff"},
    }
    assert (event.seq, event.topic, event.msg_src, event.procedure_id) == (1, "a.b", "me", 7)
    assert event.subject is made


def test_an_empty_journal() -> None:
    expected = {"epoch": "e1", "first_seq": 1, "last_seq": 0, "gap": False, "events": []}
    assert read(journal()) == expected


@pytest.mark.parametrize(
    ("since", "epoch", "gap", "expected"),
    [
        (0, None, True, range(11, 21)),
        (9, "e1", True, range(11, 21)),
        (10, "e1", False, range(11, 21)),
        (15, "e1", False, range(16, 21)),
        (20, "e1", False, []),
        (21, "e1", True, []),
        (2**63 - 1, "e1", True, []),
        (15, "another", True, range(11, 21)),
        (20, "another", True, range(11, 21)),
    ],
)
def test_what_comes_after(since: int, epoch: str | None, gap: object, expected: Any) -> None:
    answer = read(journal(10, events=20), since=since, epoch=epoch)
    assert (answer["first_seq"], answer["last_seq"], answer["gap"]) == (11, 20, gap)
    assert seqs(answer) == list(expected)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_hold_every_event_once(limit: int) -> None:
    source = journal(events=50)
    found: list[int] = []
    while page := seqs(read(source, since=found[-1] if found else 0, limit=limit)):
        found += page
    assert found == list(range(1, 51))


def test_topics_select_with_what_is_below_them() -> None:
    source = journal()
    for topic in ("a", "a.b", "a.bc", "b.a", "a.b.c"):
        source.append(topic, Origin("me"), {})
    assert seqs(read(source, topics=["a.b"])) == [2, 5]
    assert seqs(read(source, topics=["a"])) == [1, 2, 3, 5]
    assert seqs(read(source, topics=["b", "a.bc"])) == [3, 4]
    assert seqs(read(source, topics=["a"], limit=2)) == [1, 2]
    assert seqs(read(source, topics=["nothing"])) == []


def test_a_procedure_is_selected_by_what_the_controller_knows() -> None:
    source = journal()
    for msg_src, procedure_id in (("7", 8), ("8", 7), ("me", None), ("me", 7), ("7", None)):
        source.append("a", Origin(msg_src, None, procedure_id), {"procedure_id": 7})
    assert seqs(read(source, procedure_id=7)) == [2, 4]
    assert seqs(read(source, procedure_id=7, limit=1)) == [2]
    assert seqs(read(source, procedure_id=7, topics=["b"])) == []


def test_a_few_huge_events_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_JOURNAL_BYTES", 10_000)
    source = journal(1000)
    for _ in range(50):
        source.append("a", Origin("me"), {"x": "x" * 1000})
    answer = read(source)
    assert (answer["last_seq"], answer["gap"]) == (50, True)
    assert 5 <= len(answer["events"]) <= 9
    source.append("a", Origin("me"), {"x": "x" * 100_000})
    assert seqs(read(source)) == [51]
    source.append("a", Origin("me"), {})
    assert seqs(read(source)) == [52]


@pytest.mark.parametrize("data", [{"x": object()}, {"x": float("nan")}, {"x": float("-inf")}, {"x": b"y"}])
def test_what_is_not_json_takes_no_number(data: dict[str, Any]) -> None:
    source = journal()
    with pytest.raises((TypeError, ValueError)):
        source.append("a", Origin("me"), data)
    assert source.append("a", Origin("me"), {}).seq == 1


def test_many_threads_get_one_order() -> None:
    source = journal(10_000)
    handed: list[Event] = []
    barrier = threading.Barrier(8)

    def append() -> None:
        barrier.wait()
        for _ in range(500):
            source.append("a", Origin("me"), {}, then=handed.append)

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in handed] == list(range(1, 4001))
    assert seqs(read(source, limit=10_000)) == list(range(1, 4001))


@pytest.mark.parametrize(
    "query",
    [
        '{"since": -1}',
        '{"since": "1"}',
        '{"since": 9223372036854775808}',
        '{"limit": 0}',
        '{"limit": 10001}',
        '{"topics": "a"}',
        '{"from": 1}',
        "x",
    ],
)
def test_a_bad_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument):
        EventsQuery.parse(query)


@pytest.mark.parametrize(
    "topic", ["procedure.lifecycle", "procedure.pool", "procedure.output", "request", "activity"]
)
def test_topics_that_are_the_controllers(topic: str) -> None:
    assert is_reserved(topic)
    assert is_reserved(f"{topic}.below")
    assert not is_reserved(f"{topic}ish")


@pytest.mark.parametrize("topic", ["procedure", "procedure.progress", "scan.lifecycle.end", "user", ""])
def test_topics_that_scripts_may_use(topic: str) -> None:
    assert not is_reserved(topic)


def test_a_topic_covers_what_is_below_it() -> None:
    assert covers("a", "a.b")
    assert not covers("a.b", "a")
