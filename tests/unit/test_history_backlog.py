"""What the history keeps of what is announced, before anything is written."""

from __future__ import annotations

from typing import Any

from ska_oso_oet.event.journal import Event, EventJournal, Origin
from ska_oso_oet.history.backlog import MAX_CHARACTERS, MAX_LINES, Backlog, News, Request, Tail
from ska_oso_oet.history.rows import storable
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState
from ska_oso_oet.source.script import FileSystemScript

S = ProcedureState


def procedure(number: int = 1) -> Procedure:
    return Procedure(number, FileSystemScript(script_uri="file:///a.py"), CallArgs(), created_at=1.0)


def event(journal: EventJournal, topic: str, data: dict[str, Any], subject: object = None) -> Event:
    return journal.append(topic, Origin("1", None, 1), data, subject=subject)


def journal() -> EventJournal:
    return EventJournal("epoch", 10, lambda: 5.0)


def backlog() -> Backlog:
    return Backlog("epoch")


def lines(first: int, *texts: str) -> list[dict[str, Any]]:
    return [{"line": first + n, "text": text} for n, text in enumerate(texts)]


def test_only_what_belongs_to_the_history_is_noted() -> None:
    book, news = journal(), News()
    change = ProcedureChange(procedure().summary())
    assert news.add(event(book, "procedure.lifecycle.statechange", {"new_state": "CREATING"}, change))
    assert news.add(event(book, "procedure.progress", {"progress": 1}, change))
    assert news.add(event(book, "procedure.output", {"procedure_id": 1, "lines": []}))
    assert not news.add(event(book, "user.script.announce", {"msg": "hello"}))
    assert not news.add(event(book, "request.procedure.list", {}))
    assert not news.is_empty()
    assert [noted.topic for noted in news.events] == ["procedure.lifecycle.statechange"]


def test_each_procedure_is_kept_once_in_its_newest_state() -> None:
    book, waiting, made = journal(), backlog(), procedure()
    for state in (S.IDLE, S.LOADING):
        news = News()
        made.advance(state, 2.0)
        change = ProcedureChange(made.summary())
        news.add(event(book, "procedure.lifecycle.statechange", {"new_state": state.value}, change))
        waiting.add(news)
    rows = waiting.rows()
    assert [(row["id"], row["state"], row["ended"]) for row in rows.procedures] == [(1, "LOADING", None)]
    assert [(row["seq"], row["time"], row["state"]) for row in rows.events] == [
        (1, 5.0, "IDLE"),
        (2, 5.0, "LOADING"),
    ]
    assert len(waiting) == 3
    waiting.clear()
    assert len(waiting) == 0


def test_output_goes_on_over_batches_until_the_procedure_has_ended() -> None:
    book, waiting, made = journal(), backlog(), procedure()
    for first in (1, 2):
        news = News()
        news.add(event(book, "procedure.output", {"procedure_id": 1, "lines": lines(first, "text")}))
        waiting.add(news)
        waiting.clear()
    assert [line["line"] for line in waiting.tails[1].lines] == [1, 2]
    made.advance(S.FAILED, 2.0)
    news = News()
    news.add(event(book, "procedure.lifecycle.statechange", {}, ProcedureChange(made.summary())))
    waiting.add(news)
    waiting.clear()
    assert not waiting.tails


def test_a_tail_is_bounded_in_lines_and_characters() -> None:
    tail = Tail()
    tail.extend(lines(1, *("x" * (2 * MAX_LINES))))
    assert len(tail.lines) == MAX_LINES
    tail.extend(lines(500, *("y" * 16_000 for _ in range(10))))
    assert tail.size == sum(len(line["text"]) for line in tail.lines) <= MAX_CHARACTERS
    assert tail.last_line == 509
    tail.extend(lines(510, "z" * 2 * MAX_CHARACTERS))
    assert [line["line"] for line in tail.lines] == [510]


def test_a_malformed_event_costs_no_other() -> None:
    book, waiting, news = journal(), backlog(), News()
    news.output.append(Event(1, "procedure.output", "1", 1, "no JSON"))
    news.add(event(book, "procedure.output", {"procedure_id": 1, "lines": lines(1, "text")}))
    news.add(event(book, "activity.lifecycle.running", {"result": "?"}))
    news.requests.append(Request("id \0", "CreateProcedure", "user", 1.0))
    waiting.add(news)
    assert len(waiting.rows().output) == 1
    assert waiting.rows().requests[0]["command_id"] == "id \\0"
    assert waiting.rows().events == []


def test_what_databases_cannot_store_is_replaced() -> None:
    assert storable("a\0b\ud800ü") == "a\\0b\\ud800ü"
