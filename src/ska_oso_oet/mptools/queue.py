"""MPQueue is a message queue over a socket, in one direction."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from contextlib import suppress
from queue import Empty, Full
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from ska_oso_oet.mptools.message import MAX_FRAME, ItemDecoder, encode_item

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 65536


class HasFileno(Protocol):
    """Something that select can wait for."""

    def fileno(self) -> int:
        """Return the descriptor."""


class QueueClosed(OSError):
    """The other end of a queue is gone, or this end was closed."""


class MPQueue:
    """A first-in first-out queue of EventMessages, and of other JSON values, between two processes.

    It waits on a socket and shares no lock between processes, so that a process that is killed while it
    writes leaves nothing locked. Each end belongs to one process, where any thread may use it.

    The `safe_` methods return False or None instead of raising, as reference callers expect; `put` and
    `get` raise queue.Full, queue.Empty and QueueClosed.
    """

    def __init__(
        self,
        reader: socket.socket | None = None,
        writer: socket.socket | None = None,
        limit: int = MAX_FRAME,
    ) -> None:
        """Make both ends of a queue, or the ends that are passed; `limit` is the bytes of a message."""
        self._limit = limit
        if reader is None and writer is None:
            writer, reader = socket.socketpair()
        self._reader = reader
        self._writer = writer
        self._decoder = ItemDecoder(limit)
        self._inbox: deque[Any] = deque()
        self._get_lock = threading.Lock()
        self._put_lock = threading.RLock()
        self._outbox: deque[bytes] = deque()
        self._sending = False

    def put(self, item: object, timeout: float | None = None) -> None:
        """Add an item, waiting for room at most `timeout` seconds (None: as long as it takes).

        Raises TypeError or ValueError for what is not JSON, and MessageTooLarge; nothing is sent then.
        What a signal handler adds that interrupts this very method follows the message that is being sent.
        """
        frame = encode_item(item, self._limit)
        if self._writer is None:
            raise QueueClosed("this queue has no writing end")
        with self._put_lock:
            if timeout is not None and not select.select([], [self._writer], [], timeout)[1]:
                raise Full
            self._outbox.append(frame)
            if not self._sending:
                self._send_all(self._writer)

    def _send_all(self, writer: socket.socket) -> None:
        self._sending = True
        try:
            while self._outbox:
                writer.sendall(self._outbox.popleft())
        except OSError as error:
            raise QueueClosed(f"the queue's reader is gone: {error}") from None
        finally:
            self._sending = False

    def get(self, timeout: float | None = None, *, unless: HasFileno | None = None) -> Any:
        """Remove and return the oldest item; wait for one at most `timeout` seconds (None: for ever).

        Raises queue.Empty when there was none in time, or when `unless` became readable.
        """
        deadline = None if timeout is None else monotonic() + timeout
        with self._get_lock:
            while not self._inbox:
                remaining = None if deadline is None else max(0.0, deadline - monotonic())
                if not self._fill(remaining, unless):
                    raise Empty
            return self._inbox.popleft()

    def _fill(self, timeout: float | None, unless: HasFileno | None) -> bool:
        if self._reader is None:
            raise QueueClosed("this queue has no reading end")
        waited_for = [self._reader] if unless is None else [self._reader, unless]
        if self._reader not in select.select(waited_for, [], [], timeout)[0]:
            return False
        try:
            data = self._reader.recv(_CHUNK)
        except OSError as error:
            raise QueueClosed(f"the queue's writer is gone: {error}") from None
        if not data:
            raise QueueClosed("the queue's writer is gone")
        self._inbox.extend(self._decoder.feed(data))
        return True

    def safe_put(self, item: object, timeout: float | None = 0.02) -> bool:
        """Add an item; False when there was no room in time or the reader is gone.

        Raises what `put` does for what cannot be sent at all.
        """
        try:
            self.put(item, timeout=0.0 if timeout is None else timeout)
        except (Full, QueueClosed):
            return False
        return True

    def safe_get(self, timeout: float | None = 0.02) -> Any:
        """Return the next item; None when there was none in time (None: at once) or the writer is gone."""
        try:
            return self.get(timeout=0.0 if timeout is None else timeout)
        except (Empty, QueueClosed):
            return None

    def drain(self) -> Iterator[Any]:
        """Yield what is in the queue until it is empty."""
        with suppress(Empty, QueueClosed):
            while True:
                yield self.get(timeout=0.0)

    def detach_writer(self) -> int:
        """Detach the writing end and return its descriptor, for a program that this process becomes."""
        if self._writer is None:
            raise QueueClosed("this queue has no writing end")
        writer, self._writer = self._writer, None
        return writer.detach()

    def safe_close(self) -> int:
        """Drain and close this end; returns how many items were left."""
        left = sum(1 for _ in self.drain())
        for end in (self._reader, self._writer):
            if end is not None:
                end.close()
        self._reader = self._writer = None
        return left
