"""The bus: the journal's order, listeners by the kind of the subject, and none at the cost of another."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal
from ska_oso_oet.event.tree import topic_names
from ska_oso_oet.procedure.changes import ProcedureChange, ScriptEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.event.journal import Event


class Later:
    """The thread behind `defer`, by hand."""

    def __init__(self) -> None:
        self.queue: deque[Callable[[], None]] = deque()

    def run(self) -> None:
        while self.queue:
            self.queue.popleft()()


class Heard:
    def __init__(self) -> None:
        self.topics: list[str] = []

    def __call__(self, event: Event) -> None:
        self.topics.append(event.topic)


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def bus(later: Later) -> EventBus:
    return EventBus(EventJournal("e", 100, clock=lambda: 0.0), later.queue.append)


def test_an_event_is_in_the_journal_before_anyone_hears_it(bus: EventBus, later: Later) -> None:
    heard = Heard()
    bus.subscribe(heard)
    event = bus.publish("procedure.lifecycle.ready", "me", {"result": {}})
    assert (event.seq, bus.journal.last_seq, heard.topics) == (1, 1, [])
    later.run()
    assert heard.topics == ["procedure.lifecycle.ready"]


def test_who_follows_a_kind_of_subject_hears_of_no_other(bus: EventBus, later: Later) -> None:
    everything = Heard()
    scripts: list[tuple[ScriptEvent, int]] = []
    changes: list[ProcedureChange] = []
    bus.subscribe(everything)
    bus.follow(ScriptEvent, lambda subject, event: scripts.append((subject, event.seq)))
    bus.follow(ProcedureChange, lambda subject, _: changes.append(subject))
    said = ScriptEvent(7, {"msg": "hello"})
    topics = ["request.procedure.list", "user.script.announce", "made.up.by.a.script", ""]
    for topic in topics:
        bus.publish(topic, "me", {}, subject=said if topic == "user.script.announce" else None)
    later.run()
    assert everything.topics == topics
    assert scripts == [(said, 2)]
    assert not changes


def test_a_listener_that_fails_costs_the_others_nothing(
    bus: EventBus, later: Later, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(event: Event) -> None:
        raise ValueError(f"of {event.topic}")

    before, after = Heard(), Heard()
    for listener in (before, bad, after):
        bus.subscribe(listener)
    with caplog.at_level(logging.ERROR):
        bus.publish("procedure.lifecycle.ready", "me", {})
        bus.publish("procedure.lifecycle.failed", "me", {})
        later.run()
    assert before.topics == after.topics == ["procedure.lifecycle.ready", "procedure.lifecycle.failed"]
    assert "of procedure.lifecycle.failed" in caplog.text


def test_a_listener_may_publish(bus: EventBus, later: Later) -> None:
    heard = Heard()

    def answer(_: ScriptEvent, event: Event) -> None:
        bus.publish("procedure.lifecycle.failed", "me", {"of": event.seq})

    bus.follow(ScriptEvent, answer)
    bus.subscribe(heard)
    bus.publish("procedure.lifecycle.ready", "me", {}, subject=ScriptEvent(1, {}))
    bus.publish("scan.lifecycle.start", "me", {})
    later.run()
    assert heard.topics == ["procedure.lifecycle.ready", "scan.lifecycle.start", "procedure.lifecycle.failed"]


def test_the_tree_has_the_reference_topics() -> None:
    expected = {
        "request.procedure.create",
        "request.procedure.start",
        "request.procedure.stop",
        "procedure.lifecycle.created",
        "procedure.lifecycle.statechange",
        "procedure.lifecycle.stacktrace",
        "activity.lifecycle.running",
        "user.script.announce",
        "sb.lifecycle.allocated",
        "scan.lifecycle.configure.complete",
    }
    assert expected <= topic_names()
