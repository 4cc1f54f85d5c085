"""The newest events are kept as they are sent, once for all clients; each client has a place in them.

Used on the event loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from ska_oso_oet.client.events import NewEpoch
from ska_oso_oet.rest.server_sent import Position, encode, message

if TYPE_CHECKING:
    from ska_oso_oet.rest.server_sent import Chunk

MAX_BYTES: Final = 32 * 1024 * 1024
"""What is kept for those who come back and for those who are slow; a single event may have more."""
BATCH_BYTES: Final = 256 * 1024
"""What is sent to a client at once; the next follows when it has received that."""
_SCANNED: Final = 1000
"""Events that are looked at before others get a turn."""


class EventLog:
    """Events of a controller, from the oldest kept to the newest, and messages of the OET between them."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._chunks: deque[Chunk] = deque()
        self._size = 0
        self._readers: set[EventLogReader] = set()
        self.first = 0
        self.epoch = ""

    @property
    def end(self) -> int:
        """The place of what comes next."""
        return self.first + len(self._chunks)

    def begin(self, epoch: str) -> None:
        """Know the controller's epoch, also when it has not published anything."""
        if not self._chunks:
            self.epoch = epoch

    def append(self, chunk: Chunk) -> None:
        """Keep a chunk, and wake those who wait for it."""
        if chunk.position is not None:
            self.epoch = chunk.position.epoch
        self._chunks.append(chunk)
        self._size += len(chunk.content)
        while self._size > self._max_bytes and len(self._chunks) > 1:
            self._size -= len(self._chunks.popleft().content)
            self.first += 1
        for reader in self._readers:
            reader.news.set()

    def after(self, place: int) -> list[Chunk]:
        """Return some of what follows a place that is kept."""
        if place == self.end - 1:
            return [self._chunks[-1]]
        return list(islice(self._chunks, place - self.first, place - self.first + _SCANNED))

    def add(self, reader: EventLogReader) -> None:
        """Wake a reader by what comes."""
        self._readers.add(reader)

    def discard(self, reader: EventLogReader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    def end_readers(self) -> None:
        """Let every reader come to its end."""
        for reader in self._readers:
            reader.end()

    def kept(self, epoch: str) -> Kept | None:
        """Return what is kept of an epoch; None when it is unknown."""
        places = ((place, chunk.position) for place, chunk in enumerate(self._chunks, self.first))
        found = [(place, at.seq) for place, at in places if at is not None and at.epoch == epoch]
        if found:
            return Kept(found[0][0], found[0][1], found[-1][1])
        return Kept(self.end, 1, 0) if epoch == self.epoch else None


class Kept(NamedTuple):
    """What is kept of an epoch: where it begins, and the numbers of its first and its last event."""

    place: int
    first_seq: int
    last_seq: int


class Missing(NamedTuple):
    """Events that a client wants and that are not kept here: after `since`, before number `until`."""

    since: Position
    until: int
    procedure_id: int | None

    def after(self, seq: int) -> Missing | None:
        """Return what is missing beyond a number."""
        return self._replace(since=self.since._replace(seq=seq)) if seq + 1 < self.until else None


class EventLogReader:
    """What one client has still to be sent, of one procedure or all.

    It begins after `since`, or now. What is `missing`, since it is no longer kept here, has to be sent before
    the first `read`. A client that is so slow that what it has to be sent is no longer kept is let go.
    """

    def __init__(self, log: EventLog, since: Position | None = None, procedure_id: int | None = None) -> None:
        self._log = log
        self._procedure_id = procedure_id
        self._joined = self._place = log.end
        self._ended = False
        self._early: list[Chunk] = []
        self._since: Position | None = None
        self.missing: Missing | None = None
        self.news = asyncio.Event()
        if since is not None:
            self._come_back(since)

    def _come_back(self, since: Position) -> None:
        log = self._log
        kept = log.kept(since.epoch)
        if kept is None or since.seq > kept.last_seq:
            previous = since.epoch if kept is None else ""
            self._early.append(encode(NewEpoch(log.epoch, previous, since.seq)))
            since, kept = Position(log.epoch, 0), log.kept(log.epoch) or Kept(log.end, 1, 0)
        if since.seq + 1 < kept.first_seq:
            self.missing = Missing(since, kept.first_seq, self._procedure_id)
        self._since, self._place = since, kept.place

    def found(self, seq: int) -> None:
        """Know that what is missing up to a number has been sent."""
        if self.missing is not None:
            self.missing = self.missing.after(seq)

    def send_first(self, chunk: Chunk) -> None:
        """Send something to this client alone, before everything else."""
        self._early.append(chunk)

    def end(self) -> None:
        """Let the stream end after what it has still to be sent."""
        self._ended = True
        self.news.set()

    async def read(self) -> bytes:
        """Wait for what is next; nothing is the end."""
        if self._early:
            early, self._early = self._early, []
            return b"".join(chunk.content for chunk in early)
        while True:
            await asyncio.sleep(0)  # a client that receives everything at once is not the only one
            if self._place < self._log.first:
                return self._let_go()
            if batch := self._batch():
                return batch
            if self._place < self._log.end:
                continue
            if self._ended:
                return b""
            self.news.clear()
            await self.news.wait()

    def _let_go(self) -> bytes:
        if self._ended:
            return b""
        self._ended = True
        # No id: the client comes back with that of the last event it got, and misses none that is kept.
        return message("gap", {"reason": "events came faster than this client read them"}).content

    def _batch(self) -> bytes:
        batch, size = [], 0
        for chunk in self._log.after(self._place):
            if size >= BATCH_BYTES:
                break
            if self._wants(chunk):
                batch.append(chunk.content)
                size += len(chunk.content)
            self._place += 1
        return b"".join(batch)

    def _wants(self, chunk: Chunk) -> bool:
        if not chunk.concerns(self._procedure_id):
            return False
        return self._place >= self._joined or self._is_new(chunk)

    def _is_new(self, chunk: Chunk) -> bool:
        """Return whether what was kept before the client came is news for it."""
        if chunk.position is None:
            return False
        since = self._since
        return since is None or chunk.position.epoch != since.epoch or chunk.position.seq > since.seq
