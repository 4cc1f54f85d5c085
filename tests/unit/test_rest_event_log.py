"""What each client of the stream is sent of the events that are kept once for all."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

from ska_oso_oet.client.events import Event, EventPage, Gap, NewEpoch, Reconnected
from ska_oso_oet.event.journal import EventJournal, Origin
from ska_oso_oet.rest.event_log import BATCH_BYTES, EventLog, EventLogReader, Missing
from ska_oso_oet.rest.journal_pages import read_page
from ska_oso_oet.rest.server_sent import Position, encode, message

if TYPE_CHECKING:
    from ska_oso_oet.client.events import StreamItem
    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.event.journal import EventsQuery


def event(seq: int, epoch: str = "one", procedure_id: int | None = None, text: str = "") -> Event:
    return Event(epoch, seq, 1.5, "test", "me", None, {"text": text}, procedure_id)


def filled(*items: StreamItem, max_bytes: int = 1 << 20) -> EventLog:
    log = EventLog(max_bytes)
    log.begin("one")
    for item in items:
        log.append(encode(item))
    return log


async def rest_of(reader: EventLogReader) -> bytes:
    """Everything that a reader still gets."""
    reader.end()
    content = b""
    while batch := await reader.read():
        content += batch
    return content


def sent(
    log: EventLog, since: Position | None, *later: StreamItem, procedure_id: int | None = None
) -> list[str]:
    """The ids, or else the names, of what a reader is sent that comes back after `since`."""

    async def scenario() -> bytes:
        reader = EventLogReader(log, since, procedure_id)
        log.add(reader)
        for item in later:
            log.append(encode(item))
        return await rest_of(reader)

    found = []
    for block in asyncio.run(scenario()).decode().split("\n\n")[:-1]:
        fields = dict(line.split(":", 1) for line in block.split("\n"))
        found.append(f"{fields['event']} {fields['data']}" if "event" in fields else fields["id"])
    return found


def test_without_a_start_everything_from_now_on_is_sent() -> None:
    log = filled(event(1), event(2))
    assert sent(log, None, event(3), event(4), event(1, "two")) == ["one:3", "one:4", "two:1"]


def test_who_comes_back_gets_what_came_after_once() -> None:
    log = filled(event(1), event(2), Reconnected("one"), event(3))
    assert sent(log, Position("one", 1), event(4)) == ["one:2", "one:3", "one:4"]
    assert sent(log, Position("one", 4)) == []


def test_what_is_no_longer_kept_is_missing() -> None:
    log = filled(event(5), event(6))

    async def missing() -> list[Missing | None]:
        reader = EventLogReader(log, Position("one", 2), 7)
        found = [reader.missing]
        for seq in (3, 4):
            reader.found(seq)
            found.append(reader.missing)
        return [*found, EventLogReader(log, Position("one", 4)).missing, EventLogReader(log).missing]

    first, then = Missing(Position("one", 2), 5, 7), Missing(Position("one", 3), 5, 7)
    assert asyncio.run(missing()) == [first, then, None, None, None]
    assert sent(log, Position("one", 2)) == ["one:5", "one:6"]


def test_a_gap_of_the_controller_is_handed_on() -> None:
    log = filled(event(1), Gap("one", 2, 4), event(5))
    assert sent(log, Position("one", 1))[0].startswith("gap ")
    assert sent(log, Position("one", 4)) == ["one:5"]


def test_another_life_of_the_controller_is_told_first() -> None:
    log = filled(event(1), NewEpoch("two", "one", 1), event(1, "two"))
    first, *rest = sent(log, Position("zero", 9))
    assert first == 'epoch {"epoch": "two", "previous": "zero", "last_seq": 9}'
    assert rest == ["two:1"]
    known = sent(log, Position("one", 1))
    assert known[0].startswith('epoch {"epoch": "two", "previous": "one"')
    assert known[1:] == ["two:1"]
    assert sent(log, Position("two", 0)) == ["two:1"]


def test_a_number_that_was_not_reached_is_of_another_life() -> None:
    log = filled(event(1))
    assert sent(log, Position("one", 7)) == [
        'epoch {"epoch": "one", "previous": "", "last_seq": 7}',
        "one:1",
    ]
    assert sent(filled(), Position("one", 0)) == []
    assert sent(filled(), Position("one", 3))[0].startswith("epoch ")


def test_one_procedure() -> None:
    log = filled(event(1, procedure_id=7), event(2, procedure_id=8), event(3))
    later: list[StreamItem] = [event(4, procedure_id=7), Reconnected("one")]
    assert sent(log, Position("one", 0), *later, procedure_id=7) == [
        "one:1",
        "one:4",
        'reconnected {"epoch": "one"}',
    ]


def test_what_is_kept_is_bounded_but_one_large_event_passes() -> None:
    log = filled(*(event(seq, text="x" * 1000) for seq in range(1, 101)), max_bytes=10_000)
    kept = log.kept("one")
    assert kept is not None
    assert kept.last_seq == 100
    assert kept.first_seq > 90
    log.append(encode(event(101, text="x" * 20_000)))
    assert log.kept("one") == (log.end - 1, 101, 101)


def test_a_slow_reader_is_told_of_the_gap_and_let_go() -> None:
    async def scenario() -> list[bytes]:
        log = filled(max_bytes=10_000)
        reader = EventLogReader(log)
        log.add(reader)
        for seq in range(1, 101):
            log.append(encode(event(seq, text="x" * 1000)))
        return [await reader.read(), await reader.read()]

    gap, end = asyncio.run(scenario())
    assert gap == message("gap", {"reason": "events came faster than this client read them"}).content
    assert b"\nid:" not in gap
    assert end == b""


def test_a_replay_is_given_in_parts() -> None:
    async def scenario() -> list[int]:
        log = filled(*(event(seq, text="x" * 10_000) for seq in range(1, 101)), max_bytes=1 << 24)
        reader = EventLogReader(log, Position("one", 0))
        reader.end()
        parts = []
        while batch := await reader.read():
            parts.append(len(batch))
        return parts

    parts = asyncio.run(scenario())
    assert len(parts) > 3
    assert max(parts) < BATCH_BYTES + 11_000


def test_what_is_told_to_one_client_comes_first() -> None:
    async def scenario() -> bytes:
        reader = EventLogReader(filled(event(1)), Position("one", 0))
        reader.send_first(message("readiness", {"why_not_ready": "OFFLINE"}))
        return await rest_of(reader)

    assert asyncio.run(scenario()).startswith(b"event:readiness\n")


class Journal:
    """The controller's journal, which has dropped what comes before `oldest`."""

    def __init__(self, oldest: int, last: int, epoch: str = "one") -> None:
        self._journal = EventJournal(epoch, last - oldest + 1, lambda: 1.5)
        for _ in range(last):
            self._journal.append("test", Origin("me"), {})

    def read_events(self, query: EventsQuery) -> EventPage:
        return EventPage.of(json.loads(self._journal.read(query)))


def paged(journal: Journal, missing: Missing | None) -> tuple[list[str], int]:
    """What is sent of what is missing, and in how many pages."""
    content, pages = b"", 0
    while missing is not None:
        page, seq = read_page(cast("TangoController", journal), missing)
        content, pages, missing = content + page, pages + 1, missing.after(seq)
    lines = content.decode().splitlines()
    return [line for line in lines if line.startswith(("id:", "event:"))], pages


def test_what_is_missing_is_read_from_the_journal_page_by_page() -> None:
    ids = [f"id:one:{seq}" for seq in range(3, 250)]
    assert paged(Journal(1, 300), Missing(Position("one", 2), 250, None)) == (ids, 3)
    assert paged(Journal(1, 300), Missing(Position("one", 0), 101, None))[1] == 1


def test_what_the_journal_has_dropped_is_a_gap() -> None:
    told, pages = paged(Journal(200, 300), Missing(Position("one", 2), 203, None))
    assert told == ["event:gap", "id:one:199", "id:one:200", "id:one:201", "id:one:202"]
    assert pages == 1
    missing = Missing(Position("one", 2), 203, None)
    assert paged(Journal(290, 300), missing) == (["event:gap", "id:one:202"], 1)
    assert paged(Journal(1, 300, "two"), missing) == (["event:gap", "id:one:202"], 1)
    assert paged(Journal(1, 300), missing._replace(procedure_id=7)) == ([], 1)
