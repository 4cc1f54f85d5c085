"""The event stream: every event exactly once and in order, or said to be lost."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from ska_oso_oet.client.events import Disconnected, Event, EventStream, Gap, NewEpoch, Reconnected
from ska_oso_oet.client.inbox import Deadline, Inbox, Patience
from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, WaitTimeout
from ska_oso_oet.event.journal import EventJournal, EventsQuery, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.inbox import Connection


class FakeLink:
    """A controller with a real journal, whose events arrive only where the test says so."""

    def __init__(self, length: int = 100) -> None:
        self.length = length
        self.deliver: Callable[[Any], None] | None = None
        self.away = False
        self.restart("one")

    def restart(self, epoch: str) -> None:
        self.journal = EventJournal(epoch, self.length, lambda: 1.0)

    def publish(self, *topics: str, arrives: bool = True, procedure_id: int | None = None) -> None:
        for topic in topics:
            event = self.journal.append(topic, Origin("test", None, procedure_id), {})
            if arrives and self.deliver is not None:
                self.deliver(event.json)

    def command(self, name: str, argument: Any = None) -> Any:
        if self.away:
            raise ControllerUnreachable("away")
        assert name == "GetEvents"
        return self.journal.read(EventsQuery.parse(argument))

    def read(self, attribute: str) -> Any:
        raise AssertionError(attribute)

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        assert attribute == "event"
        self.deliver = deliver

        def unsubscribe() -> None:
            self.deliver = None

        return unsubscribe


def stream_of(link: FakeLink, *args: Any, **kwargs: Any) -> EventStream:
    return EventStream(TangoController(cast("Connection", link)), *args, **kwargs)


def _all(stream: EventStream) -> list[Any]:
    items: list[Any] = []
    while (item := stream.get(0.001)) is not None:
        items.append((item.epoch, item.seq) if isinstance(item, Event) else item)
    return items


def test_a_number_that_cannot_travel_is_a_wrong_argument() -> None:
    with pytest.raises(InvalidArgument, match="since"):
        stream_of(FakeLink(), since=2**63)


def test_a_stream_begins_now() -> None:
    link = FakeLink()
    link.publish("a", "a")
    with stream_of(link) as stream:
        link.publish("a", "a")
        assert _all(stream) == [("one", 3), ("one", 4)]


def test_a_stream_can_be_of_one_procedure() -> None:
    link = FakeLink()
    for procedure_id in (7, 8, None):
        link.publish("a", "b", procedure_id=procedure_id)
    with stream_of(link, ["a"], since=0, procedure_id=7) as stream:
        link.publish("a", procedure_id=8)
        link.publish("a", "b", procedure_id=7)
        assert _all(stream) == [("one", 1), ("one", 8)]


def test_a_stream_can_begin_in_the_past() -> None:
    link = FakeLink()
    link.publish("a", "a", "a")
    with stream_of(link, since=1) as stream:
        link.publish("a")
        assert _all(stream) == [("one", 2), ("one", 3), ("one", 4)]


def test_what_did_not_arrive_is_fetched_when_the_next_does() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.publish("a")
        link.publish("a", "a", arrives=False)
        link.publish("a")
        assert _all(stream) == [("one", n) for n in (1, 2, 3, 4)]


def test_a_lost_tail_is_found_by_asking() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.publish("a", arrives=False)
        assert _all(stream) == [("one", 1)]


def test_what_arrives_twice_is_given_once() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.publish("a", arrives=False)
        text = json.dumps(json.loads(link.journal.read(EventsQuery(since=0)))["events"][0])
        assert link.deliver is not None
        link.deliver(text)
        link.deliver(text)
        link.deliver("{}")
        link.deliver(None)
        assert _all(stream) == [("one", 1)]


def test_more_than_a_page_is_fetched() -> None:
    link = FakeLink(length=5000)
    with stream_of(link) as stream:
        link.publish(*["a"] * 2500, arrives=False)
        assert _all(stream) == [("one", n) for n in range(1, 2501)]


def test_what_nobody_keeps_is_a_gap() -> None:
    link = FakeLink(length=3)
    with stream_of(link) as stream:
        link.publish(*["a"] * 10, arrives=False)
        assert _all(stream) == [Gap("one", 1, 7), ("one", 8), ("one", 9), ("one", 10)]


def test_a_restart_is_a_new_epoch() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.publish("a")
        link.restart("two")
        link.publish("a", "a")
        assert _all(stream) == [("one", 1), NewEpoch("two", "one", 1), ("two", 1), ("two", 2)]


def test_resuming_in_another_epoch_says_so() -> None:
    link = FakeLink()
    link.publish("a")
    with stream_of(link, since=7, epoch="zero") as stream:
        assert _all(stream) == [NewEpoch("one", "zero", 7), ("one", 1)]


def test_beginning_at_a_number_that_is_not_reached_says_so() -> None:
    link = FakeLink()
    link.publish("a")
    with stream_of(link, since=7) as stream:
        assert _all(stream) == [NewEpoch("one", "", 7), ("one", 1)]


def test_a_controller_that_is_away_is_said_once_and_missed_nothing() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.away = True
        link.publish("a", arrives=False)
        assert _all(stream) == [Disconnected("away")]
        assert _all(stream) == []
        link.away = False
        assert _all(stream) == [Reconnected("one"), ("one", 1)]


def test_topics_are_branches() -> None:
    link = FakeLink()
    with stream_of(link, topics=("procedure", "scan.end")) as stream:
        link.publish("procedure", "procedure.lifecycle.ready", "procedures", "scan", "scan.end.ok")
        assert _all(stream) == [("one", 1), ("one", 2), ("one", 5)]


def test_a_full_inbox_loses_nothing() -> None:
    link = FakeLink(length=100_000)
    with stream_of(link) as stream:
        link.publish(*["a"] * 25_000)
        assert _all(stream) == [("one", n) for n in range(1, 25_001)]


def test_reasons_to_ask_that_wait_are_one() -> None:
    link = FakeLink()
    inbox = Inbox(partial(link.subscribe, "event"), str)
    deliver = link.deliver
    assert deliver is not None
    for value in (None, None, "a", None, None):
        deliver(value)
    assert [inbox.get(0), inbox.get(0), inbox.get(0), inbox._queue.qsize()] == [None, "a", None, 0]
    deliver(None)
    assert inbox._queue.qsize() == 1
    inbox.close()


def test_drain_gives_everything_until_now() -> None:
    link = FakeLink()
    with stream_of(link) as stream:
        link.publish("a")
        link.publish("a", arrives=False)
        assert [item.seq for item in stream.drain() if isinstance(item, Event)] == [1, 2]


def test_closing_ends_the_iteration_and_the_subscription() -> None:
    link = FakeLink()
    stream = stream_of(link)
    link.publish("a")
    iterator = iter(stream)
    next(iterator)
    stream.close()
    assert list(iterator) == []
    assert link.deliver is None


def test_a_stream_that_cannot_begin_leaves_no_subscription() -> None:
    link = FakeLink()
    link.away = True
    with pytest.raises(ControllerUnreachable):
        stream_of(link)
    assert link.deliver is None


def test_a_deadline_counts_down() -> None:
    now = [100.0]
    deadline = Deadline(5, lambda: now[0])
    assert deadline.remaining == 5
    assert deadline.at_most(3) == 3
    now[0] = 103
    assert deadline.at_most(3) == 2
    deadline.check("still there")
    now[0] = 106
    with pytest.raises(WaitTimeout, match="still there after 5 s"):
        deadline.check("still there")
    assert Deadline(None).remaining is None


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_deadline_is_a_number_of_seconds(timeout: float) -> None:
    with pytest.raises(InvalidArgument):
        Deadline(timeout)


def test_patience_ends() -> None:
    now = [0.0]
    patience = Patience(30, lambda: now[0])

    def away() -> None:
        raise ControllerUnreachable("away")

    assert patience.ask(away) is None
    now[0] = 29
    assert patience.ask(away) is None
    assert patience.ask(lambda: 7) == 7
    now[0] = 40
    assert patience.ask(away) is None
    now[0] = 71
    with pytest.raises(ControllerUnreachable):
        patience.ask(away)
