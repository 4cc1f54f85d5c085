from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.ska.event_pump import ENTRY_BYTES, EventPump

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 10.0


class PushFailed(Exception):
    pass


class Subscriber:
    """Collects what is pushed; fails as often as it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[str, object]] = []
        self.failures: dict[str, list[Exception]] = {}
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def push(self, name: str, value: object) -> None:
        self.tries += 1
        self.entered.set()
        assert self.gate.wait(DEADLINE)
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        self.received.append((name, value))


def a_bug() -> None:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def subscriber() -> Subscriber:
    return Subscriber()


@pytest.fixture
def pump(subscriber: Subscriber) -> Iterator[EventPump]:
    pump = EventPump(subscriber.push, retry_on=PushFailed, pauses=(0.001, 0.001))
    yield pump
    subscriber.gate.set()
    assert pump.stop()


def drained(pump: EventPump) -> None:
    empty = threading.Event()
    pump.when_below(0, empty.set)
    assert empty.wait(DEADLINE)


def test_everything_leaves_in_the_order_of_arrival(pump: EventPump, subscriber: Subscriber) -> None:
    pump.put("before", 0)
    pump.start()
    seen: list[int] = []
    for number in range(1000):
        pump.put("a", number)
        pump.call(lambda: seen.append(len(subscriber.received)))
    drained(pump)
    assert subscriber.received == [("before", 0), *(("a", number) for number in range(1000))]
    assert seen == list(range(2, 1002))
    assert (pump.backlog, pump.lag, pump.dropped) == (0, 0.0, 0)


def test_each_thread_keeps_its_order(pump: EventPump, subscriber: Subscriber) -> None:
    def put_all(name: str) -> None:
        for number in range(500):
            pump.put(name, number)

    pump.start()
    threads = [threading.Thread(target=put_all, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drained(pump)
    for name in "abcd":
        assert [value for each, value in subscriber.received if each == name] == list(range(500))


def test_put_does_not_wait_for_a_push(pump: EventPump, subscriber: Subscriber) -> None:
    subscriber.gate.clear()
    pump.start()
    pump.put("a", 0)
    assert subscriber.entered.wait(DEADLINE)
    pump.put("a", 1)
    assert pump.backlog == 2
    first = pump.lag
    assert pump.lag >= first > 0


def test_a_push_that_fails_is_tried_again_in_its_place(pump: EventPump, subscriber: Subscriber) -> None:
    subscriber.failures["a"] = [PushFailed(), PushFailed()]
    pump.put("a", 1)
    pump.put("b", 2)
    pump.start()
    drained(pump)
    assert subscriber.received == [("a", 1), ("b", 2)]
    assert (pump.dropped, subscriber.tries) == (0, 4)


def test_a_push_that_always_fails_is_given_up_and_counted(pump: EventPump, subscriber: Subscriber) -> None:
    subscriber.failures["a"] = [PushFailed() for _ in range(4)]
    for value in range(3):
        pump.put("a", value)
    pump.put("b", 3)
    pump.start()
    drained(pump)
    # Three tries for the first, one for the second, which fails too; the third is pushed.
    assert subscriber.received == [("a", 2), ("b", 3)]
    assert (pump.dropped, subscriber.tries) == (2, 6)


def test_what_has_not_changed_is_told_again_only_where_that_is_wanted(
    pump: EventPump, subscriber: Subscriber
) -> None:
    pump.push_changes_only("a")
    for value in (0, 0, 2, 2, 0):
        pump.put("a", value)
        pump.put("b", value)
    pump.start()
    drained(pump)
    assert [value for name, value in subscriber.received if name == "a"] == [0, 2, 0]
    assert [value for name, value in subscriber.received if name == "b"] == [0, 0, 2, 2, 0]


def test_after_a_lost_event_the_next_is_told_whatever_was_told_before(
    pump: EventPump, subscriber: Subscriber
) -> None:
    pump.push_changes_only("a")
    pump.put("a", 1)
    pump.start()
    drained(pump)
    subscriber.failures["a"] = [PushFailed() for _ in range(3)]
    pump.put("a", 2)
    pump.put("a", 1)
    drained(pump)
    assert subscriber.received == [("a", 1), ("a", 1)]


def test_a_bug_of_a_subscriber_does_not_end_the_thread(
    pump: EventPump, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    subscriber.failures["a"] = [ZeroDivisionError("a bug")]
    pump.put("a", 1)
    pump.call(a_bug)
    pump.put("b", 2)
    pump.start()
    drained(pump)
    assert subscriber.received == [("b", 2)]
    assert subscriber.tries == 2
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_coalesced_events_withhold_nothing_but_what_is_outdated(
    pump: EventPump, subscriber: Subscriber
) -> None:
    state = [0]
    interval = 0.2
    pump.start()
    sent = threading.Semaphore(0)

    def supplier() -> int:
        sent.release()
        return state[0]

    for number in range(1, 101):
        state[0] = number
        pump.coalesce("snapshot", supplier, interval)
        if number == 1:
            assert sent.acquire(timeout=DEADLINE)
    assert sent.acquire(timeout=DEADLINE)
    drained(pump)
    # The first at once; the rest is one event, or two when this machine was slow.
    assert subscriber.received[0] == ("snapshot", 1)
    assert subscriber.received[-1] == ("snapshot", 100)


def test_a_change_while_the_supplier_runs_is_sent_too(pump: EventPump, subscriber: Subscriber) -> None:
    state = ["old"]
    done = threading.Event()

    def supplier() -> str:
        value = state[0]
        if value == "old":
            state[0] = "new"
            pump.coalesce("snapshot", supplier, 0.01)
        else:
            done.set()
        return value

    pump.start()
    pump.coalesce("snapshot", supplier, 0.01)
    assert done.wait(DEADLINE)
    drained(pump)
    assert subscriber.received == [("snapshot", "old"), ("snapshot", "new")]


def test_who_settles_waits_for_what_was_put_before(pump: EventPump, subscriber: Subscriber) -> None:
    pump.start()
    subscriber.gate.clear()
    pump.put("a", 1)
    assert not pump.settle(0.01)
    subscriber.gate.set()
    assert pump.settle(DEADLINE)
    assert subscriber.received == [("a", 1)]


def test_nobody_waits_for_a_pump_that_does_not_run(subscriber: Subscriber) -> None:
    assert not EventPump(subscriber.push, retry_on=PushFailed).settle(DEADLINE)


def test_stop_sends_what_is_left_and_ends_the_thread(subscriber: Subscriber) -> None:
    pump = EventPump(subscriber.push, retry_on=PushFailed)
    subscriber.gate.clear()
    pump.start()
    pump.coalesce("snapshot", lambda: "first", 3600)
    assert subscriber.entered.wait(DEADLINE)
    pump.coalesce("snapshot", lambda: "last", 3600)
    called: list[int] = []
    pump.call_later(3600, lambda: called.append(1))
    for number in range(100):
        pump.put("a", number)
    subscriber.gate.set()
    assert pump.stop()
    pump.put("a", "late")
    pump.coalesce("snapshot", lambda: "late")
    assert pump.stop()
    assert sorted(map(str, subscriber.received)) == sorted(
        map(str, [("snapshot", "first"), ("snapshot", "last"), *(("a", number) for number in range(100))])
    )
    assert not called
    assert not [thread for thread in threading.enumerate() if thread.name == "event-pump"]


def test_stop_gives_up_what_cannot_be_sent(subscriber: Subscriber) -> None:
    pump = EventPump(subscriber.push, retry_on=PushFailed, pauses=(3600,))
    subscriber.failures["a"] = [PushFailed()]
    pump.put("a", 1)
    pump.put("b", 2)
    pump.start()
    assert subscriber.entered.wait(DEADLINE)
    assert pump.stop(timeout=0.05)
    assert subscriber.received == []
    assert pump.dropped == 2


def test_flow_control_is_told_once_when_the_backlog_is_low_enough(
    pump: EventPump, subscriber: Subscriber
) -> None:
    subscriber.gate.clear()
    for number in range(10):
        pump.put("a", number)
    backlogs: list[int] = []
    told = threading.Event()

    def resume() -> None:
        backlogs.append(len(subscriber.received))
        told.set()

    pump.when_below(4, resume)
    pump.start()
    assert not told.is_set()
    subscriber.gate.set()
    assert told.wait(DEADLINE)
    drained(pump)
    assert backlogs == [6]


class Sized:
    size = 100 * ENTRY_BYTES

    def __call__(self) -> None:
        pass


def test_what_is_large_counts_as_several_in_the_backlog(pump: EventPump, subscriber: Subscriber) -> None:
    pump.put("a", "x" * (10 * ENTRY_BYTES))
    assert pump.backlog == 11
    pump.put("a", ["x" * ENTRY_BYTES, "y" * ENTRY_BYTES])
    pump.call(Sized())
    pump.call(lambda: None)
    assert pump.backlog == 11 + 3 + 101 + 1
    subscriber.gate.clear()
    pump.start()
    assert subscriber.entered.wait(DEADLINE)
    assert pump.backlog == 11 + 3 + 101 + 1
    subscriber.gate.set()
    drained(pump)
    assert pump.backlog == 0


def test_call_later_waits_and_keeps_its_turn(pump: EventPump) -> None:
    order: list[str] = []
    done = threading.Event()

    def later() -> None:
        order.append("later")
        done.set()

    pump.start()
    pump.call_later(0.05, later)
    pump.call(lambda: order.append("now"))
    assert done.wait(DEADLINE)
    assert order == ["now", "later"]


def test_the_thread_runs_inside_its_context(subscriber: Subscriber) -> None:
    events: list[str] = []

    @contextmanager
    def context() -> Iterator[None]:
        events.append(f"enter {threading.current_thread().name}")
        yield
        events.append("leave")

    pump = EventPump(subscriber.push, retry_on=PushFailed, wrap=context)
    pump.start()
    with pytest.raises(RuntimeError, match="already"):
        pump.start()
    assert pump.stop()
    assert events == ["enter event-pump", "leave"]


def test_a_pump_that_never_started_can_be_stopped(subscriber: Subscriber) -> None:
    assert EventPump(subscriber.push, retry_on=PushFailed).stop()


def test_what_runs_on_the_pump_pushes_at_once_and_waits_in_no_second_queue(
    pump: EventPump, subscriber: Subscriber
) -> None:
    subscriber.gate.clear()
    pump.start()
    pump.put("first", 0)
    assert subscriber.entered.wait(DEADLINE)
    pump.call(lambda: pump.push("event", "of the call"))
    pump.put("last", 1)
    assert pump.backlog == 3
    subscriber.gate.set()
    drained(pump)
    assert subscriber.received == [("first", 0), ("event", "of the call"), ("last", 1)]


def test_nobody_else_pushes_past_the_queue(pump: EventPump) -> None:
    pump.start()
    with pytest.raises(RuntimeError, match="pump's thread only"):
        pump.push("event", 1)


def test_what_was_called_before_a_stop_still_pushes(subscriber: Subscriber) -> None:
    pump = EventPump(subscriber.push, retry_on=PushFailed)
    subscriber.gate.clear()
    pump.start()
    pump.put("a", 0)
    assert subscriber.entered.wait(DEADLINE)
    pump.call(lambda: pump.push("event", "the last"))
    stopping = threading.Thread(target=pump.stop)
    stopping.start()
    subscriber.gate.set()
    stopping.join(DEADLINE)
    assert subscriber.received == [("a", 0), ("event", "the last")]


def test_a_name_whose_newest_event_was_lost_is_failing_until_one_is_pushed(
    pump: EventPump, subscriber: Subscriber
) -> None:
    subscriber.failures["a"] = [PushFailed() for _ in range(3)]
    pump.put("a", 1)
    pump.put("b", 1)
    pump.start()
    drained(pump)
    assert (pump.failing, pump.dropped) == (frozenset({"a"}), 1)
    pump.put("a", 2)
    drained(pump)
    assert (pump.failing, pump.dropped) == (frozenset(), 1)
