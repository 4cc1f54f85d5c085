"""The stream of events of an HTTP API as a reason to ask: it tells that something has happened."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ska_oso_oet.errors import OetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.http_server import HttpServer, Stream

PAUSE: Final = 1.0
"""Seconds between attempts to reach a server that is away: nobody announces its return."""


class EventFeed:
    """Reads the stream of events on a thread of its own, opened again whenever it ends, until `close`.

    The first time it is opened by the constructor, which raises OetError. `tell` is called on the thread
    with the topic of each event, and with None for what concerns every topic: the stream has ended, it is
    open again, or the server has something to say itself, such as that the controller does not answer.
    """

    def __init__(self, server: HttpServer, tell: Callable[[str | None], None]) -> None:
        self._server = server
        self._tell = tell
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._stream: Stream = server.stream()
        self._thread = threading.Thread(target=self._run, name="oet-http-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the stream and the thread."""
        self._closing.set()
        with self._lock:
            self._stream.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            with suppress(OetError):  # whoever asks now learns what is wrong
                for topic in self._stream:
                    self._tell(topic)
            self._tell(None)
            self._reopen()

    def _reopen(self) -> None:
        """Open the stream as soon as that can be done, unless the feed is closed."""
        while not self._closing.wait(PAUSE):
            with suppress(OetError):
                stream = self._server.stream()
                with self._lock:
                    self._stream = stream
                    if self._closing.is_set():
                        stream.close()
                self._tell(None)
                return
