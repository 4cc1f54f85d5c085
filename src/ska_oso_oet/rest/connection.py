"""A connection of the HTTP service that does not get on loses its place to those that do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger(__name__)

REQUEST_SECS: Final = 10.0
"""How long a request's header may take, and how long a connection may stay without one."""
STALLED_SECS: Final = 30.0
"""How long a client may receive nothing of what it is sent."""
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ConnectionPlaces:
    """The connections that there may be. When all are in use, the one idle for longest is closed.

    `request_secs` bounds the time until a request's header is there, `stalled_secs` the time in which a
    client receives nothing of what is sent to it.
    """

    def __init__(
        self, limit: int, *, request_secs: float = REQUEST_SECS, stalled_secs: float = STALLED_SECS
    ) -> None:
        self.request_secs = request_secs
        self.stalled_secs = stalled_secs
        self._limit = limit
        self._taken = 0
        self._waiting: dict[HttpConnection, None] = {}

    def occupy(self, connection: HttpConnection) -> bool:
        """Occupy a place; False when there is none to be had."""
        if self._taken >= self._limit and not self._free_one():
            return False
        self._taken += 1
        self.wait(connection)
        return True

    def _free_one(self) -> bool:
        for longest in self._waiting:
            longest.give_up()
            return True
        return False

    def wait(self, connection: HttpConnection) -> None:
        """Note that a connection has no request."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def ask(self, connection: HttpConnection) -> None:
        """Note that it has one."""
        self._waiting.pop(connection, None)

    def leave(self, connection: HttpConnection) -> None:
        """Note that a place is free."""
        self._waiting.pop(connection, None)
        self._taken -= 1


class HttpConnection(H11Protocol):
    """A connection that has a place, and time for each thing that its client does."""

    def __init__(self, *args: Any, places: ConnectionPlaces, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        self._has_place = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Occupy a place, or refuse the connection."""
        super().connection_made(transport)
        self._has_place = self._places.occupy(self)
        if self._has_place:
            self._expect_request()
        else:
            transport.write(_BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the place."""
        self._cancel()
        self._forget_stall()
        if self._has_place:
            self._has_place = False
            self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle what came; a header's deadline is not put off by parts of it."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_asked:
            self._cancel()
            self._places.ask(self)

    def on_response_complete(self) -> None:
        """Expect the next request, unless it is there already."""
        super().on_response_complete()
        if not self.transport.is_closing() and self._has_place and not self._is_asked:
            self._places.wait(self)
            self._expect_request()

    def pause_writing(self) -> None:
        """Note that the client does not receive what it is sent."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self._places.stalled_secs, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it does."""
        self._forget_stall()
        super().resume_writing()

    def give_up(self) -> None:
        """Close it, as it has no request."""
        if self._has_place:
            self._has_place = False
            self._places.leave(self)
        self._cancel()
        self.transport.abort()

    @property
    def _is_asked(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_request(self) -> None:
        self._cancel()
        self._deadline = self.loop.call_later(self._places.request_secs, self.give_up)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
