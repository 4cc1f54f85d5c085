"""Server-sent events: what is sent, to whom, and in which order."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.client.events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, OetError
from ska_oso_oet.rest.errors import TooManyStreams
from ska_oso_oet.rest.server_sent import Position, encode
from ska_oso_oet.rest.stream import EventHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.client.events import StreamItem

DEADLINE = 10.0


def event(seq: int, epoch: str = "one", topic: str = "test", **data: Any) -> Event:
    return Event(epoch, seq, 1.5, topic, "me", None, data)


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


class FakeEvents:
    """A subscription whose items the test gives; an error among them is raised."""

    epoch, seq = "one", 0

    def __init__(self, *earlier: StreamItem) -> None:
        self.items: queue.Queue[StreamItem | OetError | None] = queue.Queue()
        self._earlier = earlier

    def get(self, timeout: float | None = None) -> StreamItem | None:
        item = self.items.get(timeout=DEADLINE)
        if isinstance(item, OetError):
            raise item
        return item

    def drain(self) -> Iterator[StreamItem]:
        return iter(self._earlier)

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
            got = [await reader.read()]
            streams[0].items.put(OetError("the engine is gone"))
            streams[1].items.put(event(9))
            got += [await reader.read()]
            hub.end_streams()
            assert await reader.read() == b""
        with hub.reader() as late:
            assert await late.read() == b""
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


def test_who_comes_back_gets_what_was_published_before_and_others_do_not() -> None:
    stream = FakeEvents(Gap("one", 1, 3), event(4), event(5), event(6))
    reached = threading.Event()

    async def scenario() -> tuple[list[str], list[str]]:
        hub = EventHub(lambda _: stream, lambda _: reached.set(), nullcontext)
        hub.start()
        await asyncio.to_thread(reached.wait, DEADLINE)
        hub.require_events()
        with hub.reader(Position("one", 4)) as back, hub.reader() as new:
            stream.items.put(event(7))
            first = [await back.read(), await back.read()]
            live = await new.read()
        hub.end_streams()
        await asyncio.to_thread(hub.stop)
        return numbers(*first), numbers(live)

    assert asyncio.run(scenario()) == (["one:5", "one:6", "one:7"], ["one:7"])


def test_readers_leave_places_for_others() -> None:
    async def scenario() -> None:
        hub = EventHub(lambda _: FakeEvents(), lambda _: None, nullcontext, max_readers=1)
        hub.require_place()
        with hub.reader(), pytest.raises(TooManyStreams):
            hub.require_place()
        hub.require_place()

    asyncio.run(scenario())
