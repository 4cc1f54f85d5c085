"""The stream of events of an HTTP API shows that something has happened, which is then read."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from ska_oso_oet.errors import OetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.http_server import HttpServer, Stream

    _Listener = tuple[str | None, Callable[[None], None]]

PAUSE: Final = 1.0
"""Seconds between attempts to reach a server that is away: nobody announces its return."""


class EventFeed:
    """One stream of events for all who listen: opened for the first of them, and kept until `close`."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._thread: FeedThread | None = None
        self._listeners: tuple[_Listener, ...] = ()

    def subscribe(self, topic: str | None, deliver: Callable[[None], None]) -> Callable[[], None]:
        """Call `deliver(None)` for each event on a topic, None for any, on the stream's thread.

        The result ends it. Raises OetError where the stream cannot be opened.
        """
        listener = (topic, deliver)
        with self._lock:
            if self._thread is None:
                self._thread = FeedThread(self._server, self._on_news)
            self._listeners = (*self._listeners, listener)
        return partial(self._leave, listener)

    def close(self) -> None:
        """End the stream."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _leave(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners = tuple(item for item in self._listeners if item is not listener)

    def _on_news(self, topic: str | None) -> None:
        for wanted, deliver in self._listeners:
            if topic is None or wanted in {None, topic}:
                deliver(None)


class FeedThread:
    """Reads the stream of events on a thread of its own, opened again whenever it ends, until `close`.

    The first time it is opened by the constructor, which raises OetError. `on_news` is called on the thread
    with the topic of each event, and with None for what concerns every topic: the stream has ended, it is
    open again, or the server has a message of its own, such as that the controller does not reply.
    """

    def __init__(self, server: HttpServer, on_news: Callable[[str | None], None]) -> None:
        self._server = server
        self._on_news = on_news
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
                    self._on_news(topic)
            self._on_news(None)
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
                self._on_news(None)
                return
