"""Server-sent events: one subscription to the controller, and a bounded queue for each client."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ska_oso_oet.client.events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.errors import ControllerUnreachable, InvalidArgument, OetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from ska_oso_oet.client.events import StreamItem
    from ska_oso_oet.rest.controller import Events

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 2000
"""Events that wait for a client at most."""

MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Bytes that wait for a client at most; a single event may have more."""

PAUSE: Final = 1.0
"""Seconds between attempts to reach a controller that nobody hears of: it cannot announce its return."""

_POSITION: Final = re.compile(r"([0-9A-Za-z-]{1,64}):([0-9]{1,18})")


class ControllerNotReady(ControllerUnreachable):
    """The controller answers, and can start no script; the message says why."""

    code = "OET_ControllerNotReady"


class Position(NamedTuple):
    """A place in the order of events; as text `<epoch>:<seq>`, the id of a server-sent event."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read an id; raises InvalidArgument for what no id of ours can be."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"Last-Event-ID is <epoch>:<number>, not {text[:80]!r}")
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


class Chunk(NamedTuple):
    """An item of the stream as it is sent, and where it belongs; a message of ours belongs nowhere.

    `own` is what the OET says itself, which concerns everyone; other items are events of the bus, with the
    procedure that they come from or speak of.
    """

    position: Position | None
    content: bytes
    own: bool = True
    procedure_id: int | None = None

    def concerns(self, procedure_id: int | None) -> bool:
        """Tell whether who wants the events of one procedure, or None for all, wants it."""
        return self.own or procedure_id in {None, self.procedure_id}


def encode(item: StreamItem) -> Chunk:
    """Write an item of the bus as a server-sent event."""
    match item:
        case Event():
            # What the controller knows of an event counts, whatever a script calls the same.
            ids = {"request_id": item.request_id, "procedure_id": item.procedure_id}
            known = {name: value for name, value in ids.items() if value is not None}
            source = {"msg_src": item.msg_src, "topic": item.topic, "time": item.time}
            data = {**item.data, **known, **source}
            chunk = _chunk("", data, Position(item.epoch, item.seq))
            return chunk._replace(own=False, procedure_id=item.procedure_id)
        case Gap():
            lost = {"epoch": item.epoch, "first_seq": item.first_seq, "last_seq": item.last_seq}
            return _chunk("gap", lost, Position(item.epoch, item.last_seq))
        case NewEpoch():
            return _chunk("epoch", vars(item), Position(item.epoch, 0))
        case Disconnected():
            return _chunk("disconnected", vars(item))
        case Reconnected():
            return _chunk("reconnected", vars(item))


def _readiness(reason: str) -> Chunk:
    return _chunk("readiness", {"why_not_ready": reason or None})


def _chunk(name: str, data: dict[str, Any], position: Position | None = None) -> Chunk:
    lines = [f"event:{name}"] if name else []
    lines.append(f"data:{json.dumps(data)}")
    if position is not None:
        lines.append(f"id:{position}")
    return Chunk(position, ("\n".join(lines) + "\n\n").encode())


class Reader:
    """What waits for one client, of one procedure or all. Used on the event loop only."""

    def __init__(self, procedure_id: int | None = None) -> None:
        self._procedure_id = procedure_id
        self._waiting: deque[Chunk] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()

    def offer(self, chunk: Chunk) -> None:
        """Give the client an item, or let it go when it does not keep up."""
        if self._ended or not chunk.concerns(self._procedure_id):
            return
        full = len(self._waiting) >= MAX_WAITING or self._size + len(chunk.content) > MAX_WAITING_BYTES
        if self._waiting and full:
            # No id: the client comes back with that of the last event it got, and misses none.
            self._waiting.clear()
            self._waiting.append(_chunk("gap", {"reason": "events came faster than this client read them"}))
            self._ended = True
        else:
            self._waiting.append(chunk)
            self._size += len(chunk.content)
        self._news.set()

    def end(self) -> None:
        """Let the stream end after what waits."""
        self._ended = True
        self._news.set()

    async def take(self) -> list[Chunk]:
        """Wait for items; an empty list is the end."""
        while not self._waiting and not self._ended:
            self._news.clear()
            await self._news.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        self._size = 0
        return taken


class EventHub:
    """Hears the controller's events once, on a thread of its own, and gives them to every reader.

    `open_stream(position)` subscribes, from now on or after a position. `on_reachable(message)` is called on
    that thread, with None when the controller answers and with what is wrong when it does not.
    `thread_context` surrounds the thread's life; `on_readers` is called when there are more or fewer readers.
    """

    def __init__(
        self,
        open_stream: Callable[[Position | None], Events],
        on_reachable: Callable[[str | None], None],
        thread_context: Callable[[], AbstractContextManager[object]],
        on_readers: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_stream = open_stream
        self._on_readers = on_readers
        self._on_reachable = on_reachable
        self._context = thread_context
        self._lock = threading.Lock()
        self._stream: Events | None = None
        self._heard: Position | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rest-events")
        self._readers: set[Reader] = set()
        self._loop: asyncio.AbstractEventLoop
        self._ended = False
        self.trouble: str | None = "the controller has not been reached yet"
        """Why no events can be had; None while they can."""
        self._why_not_ready: str | None = None
        self._told_readiness = ""

    # ------------------------------------------------------------ on the event loop

    def start(self) -> None:
        """Begin to listen; to be called on the event loop that the readers use."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def end_streams(self) -> None:
        """End every stream, also those that are still to come."""
        self._ended = True
        for reader in self._readers:
            reader.end()

    @contextmanager
    def reader(self, procedure_id: int | None = None) -> Iterator[Reader]:
        """Give a new reader every event from now on, or those of a procedure, until the context is left."""
        reader = Reader(procedure_id)
        if self._why_not_ready:
            reader.offer(_readiness(self._why_not_ready))
        if self._ended:
            reader.end()
        self._readers.add(reader)
        self._on_readers()
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._on_readers()

    @property
    def readers(self) -> int:
        """How many clients there are."""
        return len(self._readers)

    def require_events(self) -> None:
        """Raise ControllerUnreachable when there are no events to be had."""
        if self.trouble is not None:
            raise ControllerUnreachable(self.trouble)

    def require_ready(self) -> None:
        """Raise ControllerNotReady when the controller can start no script, or is not there."""
        if self._why_not_ready:
            raise ControllerNotReady(self._why_not_ready)
        self.require_events()
        if self._why_not_ready is None:
            raise ControllerNotReady("the controller has not said yet whether scripts can be started")

    def _deliver(self, chunk: Chunk) -> None:
        for reader in self._readers:
            reader.offer(chunk)

    # ------------------------------------------------------------ from any thread

    def tell_readiness(self, reason: str | None) -> None:
        """Take why the controller can start no script, empty when it can, and tell who listens.

        None says that it is not known, as after the controller was lost. To be called after `start`.
        """
        self._why_not_ready = reason
        if reason not in {None, self._told_readiness}:
            self._told_readiness = reason or ""
            self._send(_readiness(self._told_readiness))

    def _send(self, chunk: Chunk) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._deliver, chunk)

    # ------------------------------------------------------------ the thread

    def stop(self) -> None:
        """End the thread; may be called from any other one."""
        self._stopping.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._context():
            while not self._stopping.is_set():
                try:
                    self._follow()
                except OetError as error:
                    self._report(str(error))
                    self._stopping.wait(PAUSE)

    def _follow(self) -> None:
        """Hand on what is heard from one subscription, until it fails or is closed."""
        stream = self._open_stream(self._heard)
        with self._lock:
            self._stream = stream
            if self._stopping.is_set():
                stream.close()
        try:
            self._report(None)
            while (item := stream.get()) is not None:
                self._hand_on(item)
        finally:
            stream.close()

    def _hand_on(self, item: StreamItem) -> None:
        if isinstance(item, Disconnected):
            self._report(item.message)
        elif isinstance(item, Reconnected):
            self._report(None)
        chunk = encode(item)
        self._heard = chunk.position or self._heard
        self._send(chunk)

    def _report(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            _log.info("controller: %s", trouble or "reached")
        self.trouble = trouble
        self._on_reachable(trouble)


async def follow(reader: Reader, since: Position | None, replayed: list[Chunk]) -> AsyncIterator[bytes]:
    """Write what comes after `since`: first what was replayed from there, then what the reader gets.

    What was replayed and also heard is written once. The comment that comes first gets the header through
    programs that hold it back until something follows.
    """
    yield b":\n\n"
    here = since
    for chunk in replayed:
        here = chunk.position or here
        yield chunk.content
    while chunks := await reader.take():
        fresh = [chunk.content for chunk in chunks if _is_new(chunk, since, here)]
        if fresh:
            yield b"".join(fresh)


def _is_new(chunk: Chunk, since: Position | None, here: Position | None) -> bool:
    if chunk.position is None or since is None or here is None:
        return True
    if chunk.position.epoch == here.epoch:
        return chunk.position.seq > here.seq
    # The replay has shown that the epoch of `since` is over.
    return chunk.position.epoch != since.epoch
