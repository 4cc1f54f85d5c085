"""The events of the bus over HTTP: server-sent events on a thread, each exactly once and in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ska_oso_oet.client_events import Disconnected, Event, Events, Gap, NewEpoch, Reconnected
from ska_oso_oet.client_http_server import Message
from ska_oso_oet.client_inbox import INBOX_SIZE, QUIET_TIME, Deadline
from ska_oso_oet.errors import ControllerUnreachable, OetError
from ska_oso_oet.event.journal import covers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ska_oso_oet.client_events import StreamItem
    from ska_oso_oet.client_http_server import HttpServer, Stream

PAUSE: Final = 1.0
"""Seconds between attempts to reach a server that is away: nobody announces its return."""

UNKNOWN: Final = "-"
"""An epoch that no controller has: the server then sends everything that it still has."""

CLOCK_STEP: Final = 2.0
"""Seconds by which an event is later than the opening of the stream, as far as a Date header can tell."""

CHANGES: Final = ("procedure.lifecycle.statechange", "activity.lifecycle.statechange")


class Opened(NamedTuple):
    """The stream is open: what happens from now on arrives."""


FeedItem = Message | Opened | Disconnected


class EventFeed:
    """Reads the stream of events on a thread of its own, opened again whenever it ends, until `close`.

    The first time it is opened by the constructor, which raises OetError. `deliver` is called on the thread.
    """

    def __init__(
        self, server: HttpServer, deliver: Callable[[FeedItem], None], position: str | None = None
    ) -> None:
        self._server = server
        self._deliver = deliver
        self._position = position
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._stream: Stream | None = server.stream(position)
        self.opened_at = self._stream.opened_at
        """When the stream was first opened, in seconds since the epoch by the server's clock."""
        self._thread = threading.Thread(target=self._run, name="oet-http-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the stream; what was heard until now is still delivered."""
        self._closing.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._read(self._open())
            except OetError as error:
                self._deliver(Disconnected(str(error)))
            with self._lock:
                self._stream = None
            self._closing.wait(PAUSE)

    def _open(self) -> Stream:
        """Take the stream that is open, or open one where the last one ended."""
        stream = self._stream or self._server.stream(self._position or f"{UNKNOWN}:0")
        with self._lock:
            self._stream = stream
            if self._closing.is_set():
                stream.close()
        return stream

    def _read(self, stream: Stream) -> None:
        self._deliver(Opened())
        for message in stream:
            self._deliver(message)
            self._position = message.identifier or self._position
            if self._closing.is_set():
                return


class HttpEventStream(Events):
    """EventStream, over HTTP.

    `newest_change` answers when the newest change of a procedure or an activity was, in the controller's
    time: the API does not tell the number of the newest event.
    """

    def __init__(
        self,
        server: HttpServer,
        newest_change: Callable[[], float],
        topics: Collection[str] = (),
        since: int | None = None,
        epoch: str | None = None,
    ) -> None:
        self.epoch = epoch or ""
        self.seq = since if since is not None and epoch is not None else 0
        self._topics = tuple(topics)
        self._newest_change = newest_change
        self._since = since
        self._from_the_beginning = False
        self._queue: queue.Queue[FeedItem | None] = queue.Queue(INBOX_SIZE)
        self._pending: deque[StreamItem] = deque()
        self._connected = True
        self._closed = False
        position = None if since is None else f"{UNKNOWN}:0" if epoch is None else f"{epoch}:{since}"
        # A reader that does not keep up makes the thread wait, then the server, which lets it come back.
        self._feed = EventFeed(server, self._queue.put, position)
        self._begun = self._feed.opened_at
        try:
            self._changed = newest_change()
        except BaseException:
            self.close()
            raise

    def get(self, timeout: float | None = None) -> StreamItem | None:
        """Wait for the next item, for ever or `timeout` seconds; None when there was none or it is closed."""
        deadline = Deadline(timeout)
        while not self._pending and self._receive(deadline.remaining):
            pass
        return self._pending.popleft() if self._pending and not self._closed else None

    def drain(self) -> Iterator[StreamItem]:
        """Give what has been published and was not yet read: all up to the newest change of state."""
        newest = 0.0
        with suppress(ControllerUnreachable):
            newest = self._newest_change()
        deadline = Deadline(QUIET_TIME)
        while self._changed < newest and self._receive(deadline.remaining):
            pass
        while self._receive(0):
            pass
        while self._pending:
            yield self._pending.popleft()

    def close(self) -> None:
        """End the stream and its thread; an iteration ends."""
        if self._closed:
            return
        self._closed = True
        self._feed.close()
        # The thread may wait for room in the queue.
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._feed.join()
        self._queue.put(None)

    def _receive(self, timeout: float | None) -> bool:
        """Take one message; False when there was none in time, or the stream is closed."""
        if self._closed:
            return False
        try:
            item = self._queue.get(timeout=timeout) if timeout != 0 else self._queue.get_nowait()
        except queue.Empty:
            return False
        if isinstance(item, Message):
            self._take(item)
        elif isinstance(item, Disconnected):
            self._lose(item)
        elif item is not None:
            self._find()
        return item is not None

    def _take(self, message: Message) -> None:
        match message:
            case Message("", data, identifier):
                self._accept(_event(data, identifier))
            case Message("gap", data, identifier) if identifier:
                self._accept_gap(Gap(**data))
            case Message("epoch", data):
                self._accept_epoch(NewEpoch(**data))
            case Message("disconnected", data):
                self._lose(Disconnected(**data))
            case Message("reconnected"):
                self._find()

    def _accept(self, event: Event) -> None:
        if event.topic in CHANGES:
            self._changed = max(self._changed, event.time)
        if self._is_old(event) or (event.epoch == self.epoch and event.seq <= self.seq):
            return
        self.epoch, self.seq = event.epoch, event.seq
        if not self._topics or any(covers(branch, event.topic) for branch in self._topics):
            self._pending.append(event)

    def _is_old(self, event: Event) -> bool:
        """Tell what was asked for only because the number or the epoch to begin after is not known."""
        if not self._from_the_beginning:
            return False
        if self._since is None:
            return event.time < self._begun
        if event.seq > self._since:
            return False
        if event.time < self._begun + CLOCK_STEP:
            return True
        # It has just happened, and its number is below: that was a number of another life of the controller.
        self._since = 0
        self._pending.append(NewEpoch(event.epoch, ""))
        return False

    def _accept_gap(self, gap: Gap) -> None:
        known = self.seq if gap.epoch == self.epoch else 0
        if self._from_the_beginning:
            known = gap.last_seq if self._since is None else max(known, self._since)
        if gap.last_seq > known:
            self._pending.append(Gap(gap.epoch, max(gap.first_seq, known + 1), gap.last_seq))

    def _accept_epoch(self, new: NewEpoch) -> None:
        self._from_the_beginning = new.previous == UNKNOWN
        if not self._from_the_beginning:
            self._pending.append(new)
        self.epoch, self.seq = new.epoch, 0

    def _lose(self, item: Disconnected) -> None:
        if self._connected:
            self._connected = False
            self._pending.append(item)

    def _find(self) -> None:
        if not self._connected:
            self._connected = True
            self._pending.append(Reconnected(self.epoch))


def _event(data: dict[str, Any], identifier: str) -> Event:
    """Take an event of the bus apart: its data travel beside what is said of it."""
    epoch, _, seq = identifier.rpartition(":")
    about = {key: data.pop(key, None) for key in ("time", "topic", "msg_src", "request_id")}
    # A script may publish data with a key `time`, which then hides that of the event.
    about["time"] = about["time"] if isinstance(about["time"], int | float) else 0.0
    return Event(epoch=epoch, seq=int(seq), data=data, **about)
