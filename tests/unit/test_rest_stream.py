"""Server-sent events: what is sent, to whom, and in which order."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.client.events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, OetError
from ska_oso_oet.rest.stream import MAX_WAITING, MAX_WAITING_BYTES, EventHub, Position, Reader, encode, follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.client.events import StreamItem

DEADLINE = 10.0


def event(seq: int, epoch: str = "one", topic: str = "test", **data: Any) -> Event:
    return Event(epoch, seq, 1.5, topic, "me", None, data)


def of(seq: int, procedure_id: int | None) -> Event:
    return replace(event(seq), procedure_id=procedure_id)


def numbers(*chunks: bytes) -> list[str]:
    text = b"".join(chunks).decode()
    return [line.removeprefix("id:") for line in text.splitlines() if line.startswith("id:")]


def test_an_event_is_written_as_the_reference_prints_it() -> None:
    told = Event("a1", 7, 1.5, "procedure.pool.list", "SESWorker", "r1", {"result": []}, 7)
    content = encode(told).content
    data, identifier, *end = content.decode().split("\n")
    assert json.loads(data.removeprefix("data:")) == {
        "time": 1.5,
        "result": [],
        "request_id": "r1",
        "procedure_id": 7,
        "msg_src": "SESWorker",
        "topic": "procedure.pool.list",
    }
    assert (identifier, end) == ("id:a1:7", ["", ""])


def test_no_text_of_a_script_can_forge_an_event() -> None:
    content = encode(event(1, text="x\n\nevent:gap\r\ndata:{}\u2028")).content
    assert content.count(b"\n") == 3
    assert b"\r" not in content


def test_no_data_of_a_script_takes_the_place_of_what_the_controller_knows() -> None:
    data = {"procedure_id": 8, "time": 0, "topic": "procedure.output", "msg_src": "8", "request_id": "r2"}
    content = encode(Event("a1", 7, 1.5, "test", "me", "r1", data, 7)).content.decode()
    assert json.loads(content.partition("\n")[0].removeprefix("data:")) == {
        "procedure_id": 7,
        "time": 1.5,
        "topic": "test",
        "msg_src": "me",
        "request_id": "r1",
    }


def test_a_reader_of_one_procedure_gets_its_events_and_what_the_oet_says() -> None:
    async def scenario() -> list[bytes]:
        reader = Reader(procedure_id=7)
        for number, procedure_id in enumerate((7, 8, None), 1):
            reader.offer(encode(of(number, procedure_id)))
        reader.offer(encode(Reconnected("one")))
        return [chunk.content for chunk in await reader.take()]

    mine, said = asyncio.run(scenario())
    assert numbers(mine) == ["one:1"]
    assert said.startswith(b"event:reconnected")


def test_what_the_oet_says_itself_has_a_name() -> None:
    for item, name, position in (
        (Gap("one", 3, 9), "gap", Position("one", 9)),
        (NewEpoch("two", "one"), "epoch", Position("two", 0)),
        (Disconnected("away"), "disconnected", None),
        (Reconnected("one"), "reconnected", None),
    ):
        chunk = encode(item)
        assert chunk.content.startswith(f"event:{name}\n".encode())
        assert chunk.position == position
        assert (b"\nid:" in chunk.content) == (position is not None)


@pytest.mark.parametrize("text", ["", "1605017762.46912", "one:", ":1", "one:-1", "one:1\n", "a b:1"])
def test_an_id_of_somebody_else(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Position.parse(text)


def test_an_id_is_read_as_it_is_written() -> None:
    assert Position.parse(str(Position("0a1b", 12))) == Position("0a1b", 12)


def test_a_slow_reader_is_told_of_the_gap_and_let_go() -> None:
    async def scenario() -> list[list[bytes]]:
        reader = Reader()
        for seq in range(MAX_WAITING + 5):
            reader.offer(encode(event(seq + 1)))
        return [[chunk.content for chunk in await reader.take()] for _ in range(2)]

    [[gap], end] = asyncio.run(scenario())
    assert gap.startswith(b"event:gap\n")
    assert b"\nid:" not in gap
    assert end == []


def test_bytes_are_bounded_too_but_one_large_event_passes() -> None:
    large = encode(event(1, text="x" * (MAX_WAITING_BYTES + 1)))

    async def scenario() -> tuple[list[bytes], list[bytes]]:
        reader = Reader()
        reader.offer(large)
        first = await reader.take()
        reader.offer(encode(event(2)))
        reader.offer(large)
        return [c.content for c in first], [c.content for c in await reader.take()]

    first, second = asyncio.run(scenario())
    assert first == [large.content]
    assert second[0].startswith(b"event:gap\n")


def _follow(since: Position | None, replayed: list[StreamItem], live: list[StreamItem]) -> list[bytes]:
    async def scenario() -> list[bytes]:
        reader = Reader()
        for item in live:
            reader.offer(encode(item))
        reader.end()
        return [chunk async for chunk in follow(reader, since, [encode(item) for item in replayed])]

    return asyncio.run(scenario())


def test_without_a_start_everything_heard_is_sent() -> None:
    assert numbers(*_follow(None, [], [event(4), event(5), event(1, "two")])) == ["one:4", "one:5", "two:1"]


def test_what_was_replayed_is_not_sent_twice() -> None:
    sent = _follow(Position("one", 2), [event(3), event(4)], [event(2), event(3), event(4), event(5)])
    assert numbers(*sent) == ["one:3", "one:4", "one:5"]
    assert numbers(*_follow(Position("one", 5), [], [event(5), event(6)])) == ["one:6"]


def test_a_restart_during_the_replay() -> None:
    replayed: list[StreamItem] = [NewEpoch("two", "one"), event(1, "two")]
    live: list[StreamItem] = [event(3), NewEpoch("two", "one"), event(1, "two"), event(2, "two")]
    assert numbers(*_follow(Position("one", 2), replayed, live)) == ["two:0", "two:1", "two:2"]


def test_a_restart_after_the_replay() -> None:
    live: list[StreamItem] = [event(4), NewEpoch("two", "one"), event(1, "two")]
    assert numbers(*_follow(Position("one", 2), [event(3)], live)) == ["one:3", "one:4", "two:0", "two:1"]


class FakeEvents:
    """A subscription whose items the test gives; an error among them is raised."""

    epoch, seq = "one", 0

    def __init__(self) -> None:
        self.items: queue.Queue[StreamItem | OetError | None] = queue.Queue()

    def get(self, timeout: float | None = None) -> StreamItem | None:
        item = self.items.get(timeout=DEADLINE)
        if isinstance(item, OetError):
            raise item
        return item

    def drain(self) -> Iterator[StreamItem]:
        return iter(())

    def close(self) -> None:
        self.items.put(None)


def test_the_hub_goes_on_where_a_failed_subscription_ended() -> None:
    streams = [FakeEvents(), FakeEvents()]
    opened: list[Position | None] = []
    reached: queue.Queue[str | None] = queue.Queue()

    def open_stream(since: Position | None) -> FakeEvents:
        opened.append(since)
        return streams[len(opened) - 1]

    async def scenario() -> list[bytes]:
        hub = EventHub(open_stream, reached.put, nullcontext)
        hub.start()
        with hub.reader() as reader:
            streams[0].items.put(event(8, topic="procedure.lifecycle.ready"))
            got = [chunk.content for chunk in await reader.take()]
            streams[0].items.put(OetError("the engine is gone"))
            streams[1].items.put(event(9))
            got += [chunk.content for chunk in await reader.take()]
            hub.end_streams()
            assert await reader.take() == []
        with hub.reader() as late:
            assert await late.take() == []
        await asyncio.to_thread(hub.stop)
        return got

    assert numbers(*asyncio.run(scenario())) == ["one:8", "one:9"]
    assert opened == [None, Position("one", 8)]
    assert [reached.get(timeout=DEADLINE) for _ in range(3)] == [None, "the engine is gone", None]
    assert not [thread for thread in threading.enumerate() if thread.name == "rest-events"]


def test_nothing_to_listen_to_is_said() -> None:
    away = threading.Event()

    def open_stream(since: Position | None) -> FakeEvents:
        raise ControllerUnreachable("nobody there")

    def on_reachable(trouble: str | None) -> None:
        away.set()

    async def scenario() -> None:
        hub = EventHub(open_stream, on_reachable, nullcontext)
        with pytest.raises(ControllerUnreachable):
            hub.require_events()
        hub.start()
        await asyncio.to_thread(away.wait, DEADLINE)
        with pytest.raises(ControllerUnreachable, match="nobody there"):
            hub.require_events()
        await asyncio.to_thread(hub.stop)

    asyncio.run(scenario())
