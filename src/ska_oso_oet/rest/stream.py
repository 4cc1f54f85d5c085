"""All clients that listen to events over HTTP share one subscription to the controller."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from ska_oso_oet.client.events import Disconnected, Gap, Reconnected
from ska_oso_oet.errors import ControllerUnreachable, OetError
from ska_oso_oet.rest.errors import TooManyStreams
from ska_oso_oet.rest.event_log import EventLog, EventLogReader
from ska_oso_oet.rest.server_sent import encode, readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ska_oso_oet.client.events import StreamItem
    from ska_oso_oet.rest.server_sent import Chunk, Position

_log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds between attempts to reach a controller that nobody hears of: it cannot announce its return."""


class Events(Protocol):
    """Events of the bus, each once and in order: what the hub needs of client.events.EventStream."""

    epoch: str
    seq: int

    def get(self, timeout: float | None = None) -> StreamItem | None:
        """Wait for the next item; None when the stream has been closed."""

    def drain(self) -> Iterator[StreamItem]:
        """Everything that has been published and was not yet read."""

    def close(self) -> None:
        """End the stream; who waits in `get` is woken."""


class ControllerNotReady(ControllerUnreachable):
    """The controller replies, and can start no script; the message has the reason."""

    code = "OET_ControllerNotReady"


class EventHub:
    """Receives the controller's events once, on a thread of its own, and keeps them for every reader.

    `open_stream(position)` subscribes, after a position or from the oldest event that the controller has.
    `on_reachable(message)` is called on that thread, with None when the controller replies and with what is
    wrong when it does not. `thread_context` surrounds the thread's life; `on_readers` is called when there
    are more or fewer readers, of whom there may be `max_readers`.
    """

    def __init__(
        self,
        open_stream: Callable[[Position | None], Events],
        on_reachable: Callable[[str | None], None],
        thread_context: Callable[[], AbstractContextManager[object]],
        on_readers: Callable[[], None] = lambda: None,
        *,
        max_readers: int = 500,
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
        self._events = EventLog()
        self._max_readers = max_readers
        self._loop: asyncio.AbstractEventLoop
        self._ended = False
        self.trouble: str | None = "the controller has not been reached yet"
        """Why no events can be had; None while they can. Used on the event loop."""
        self._reported: str | None = self.trouble
        self._why_not_ready: str | None = None
        self._pushed_readiness = ""

    # ------------------------------------------------------------ on the event loop

    def start(self) -> None:
        """Begin to listen; to be called on the event loop that the readers use."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def end_streams(self) -> None:
        """End every stream, also those that are still to come."""
        self._ended = True
        self._events.end_readers()

    @contextmanager
    def reader(
        self, since: Position | None = None, procedure_id: int | None = None
    ) -> Iterator[EventLogReader]:
        """Make a reader of the events after `since`, or from now on, until the context is left.

        All of them, or those of a procedure.
        """
        reader = EventLogReader(self._events, since, procedure_id)
        if self._why_not_ready:
            reader.send_first(readiness(self._why_not_ready))
        if self._ended:
            reader.end()
        self._events.add(reader)
        self._on_readers()
        try:
            yield reader
        finally:
            self._events.discard(reader)
            self._on_readers()

    @property
    def readers(self) -> int:
        """How many clients there are."""
        return self._events.readers

    def require_events(self) -> None:
        """Raise ControllerUnreachable when there are no events to be had."""
        if self.trouble is not None:
            raise ControllerUnreachable(self.trouble)

    def require_place(self) -> None:
        """Raise TooManyStreams when there may be no more readers, so that other requests find a place."""
        if self.readers >= self._max_readers:
            raise TooManyStreams(f"{self._max_readers} clients listen to events already")

    def require_ready(self) -> None:
        """Raise ControllerNotReady when the controller can start no script, or is not there."""
        if self._why_not_ready:
            raise ControllerNotReady(self._why_not_ready)
        self.require_events()
        if self._why_not_ready is None:
            raise ControllerNotReady("the controller has not reported yet whether scripts can be started")

    # ------------------------------------------------------------ from any thread

    def note_readiness(self, reason: str | None) -> None:
        """Note why the controller can start no script, empty when it can, and push it to who listens.

        None is for what is not known, as after the controller was lost. To be called after `start`.
        """
        self._why_not_ready = reason
        if reason not in {None, self._pushed_readiness}:
            self._pushed_readiness = reason or ""
            self._send(readiness(self._pushed_readiness))

    def _send(self, chunk: Chunk) -> None:
        self._submit(self._events.append, chunk)

    def _submit(self, function: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function, *args)

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
            self._keep_what_was(stream)
            self._report(None)
            while (item := stream.get()) is not None:
                self._hand_on(item)
        finally:
            stream.close()

    def _keep_what_was(self, stream: Events) -> None:
        """Keep what was published before, which is news only for those who come back."""
        self._submit(self._events.begin, stream.epoch)
        for item in stream.drain():
            # What the controller no longer has is reported to those who miss it.
            if self._heard is not None or not isinstance(item, Gap):
                self._hand_on(item)

    def _hand_on(self, item: StreamItem) -> None:
        if isinstance(item, Disconnected):
            self._report(item.message)
        elif isinstance(item, Reconnected):
            self._report(None)
        chunk = encode(item)
        self._heard = chunk.position or self._heard
        self._send(chunk)

    def _report(self, trouble: str | None) -> None:
        if trouble != self._reported:
            _log.info("controller: %s", trouble or "reached")
        self._reported = trouble
        # In the order of the events: who finds the controller reachable finds what it had published.
        self._submit(self._note, trouble)
        self._on_reachable(trouble)

    def _note(self, trouble: str | None) -> None:
        self.trouble = trouble
