"""The HTTP service puts a socket, uvicorn on a thread of its own and the way to the controller together."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from ska_oso_oet.client.events import EventStream
from ska_oso_oet.rest.app import create_app
from ska_oso_oet.rest.backend import Backend
from ska_oso_oet.rest.calls import Calls
from ska_oso_oet.rest.command_waits import CommandWaits
from ska_oso_oet.rest.connection import ConnectionPlaces, HttpConnection
from ska_oso_oet.rest.listening import ListeningSocket
from ska_oso_oet.rest.settings import EVERYWHERE
from ska_oso_oet.rest.state_waits import StateWaits
from ska_oso_oet.rest.stream import EventHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.rest.guards import Counter
    from ska_oso_oet.rest.server_sent import Position
    from ska_oso_oet.rest.settings import RestSettings

_log = logging.getLogger(__name__)

RESERVED: Final = 100
"""Descriptors that are not for connections."""
ACCEPT_TROUBLE_SECS: Final = 60.0
"""Seconds after which it is logged again that no connection can be accepted."""
GRACE: Final = 2
"""Seconds that requests have to end in when the service stops; streams are ended at once."""


@dataclass(frozen=True)
class Surroundings:
    """What the service reports to, and what its threads need.

    `on_reachable(message)` gets None when the controller replies, and what is wrong when it does not;
    `on_failure(message)` reports that the service has ended by itself. Threads of the service call them.
    """

    counter: Counter
    on_reachable: Callable[[str | None], None]
    on_failure: Callable[[str], None]
    on_streams: Callable[[], None]
    thread_context: Callable[[], AbstractContextManager[object]]


class RestService:
    """The HTTP service, from `start` to `stop`; another start needs another object.

    Raises InvalidArgument for a token file that cannot be used.
    """

    def __init__(self, controller: TangoController, settings: RestSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._calls = Calls(around.thread_context)
        self._hub = EventHub(
            lambda since: _open(controller, since),
            around.on_reachable,
            around.thread_context,
            around.on_streams,
            max_readers=settings.max_connections // 2,
        )
        endings, states = CommandWaits(controller, self._calls), StateWaits(controller, self._calls)
        backend = Backend(controller, self._calls, self._hub, endings, states)
        app = create_app(backend, settings, settings.token(), around.counter)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_connection(settings.max_connections),
                ws="none",
                loop="asyncio",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                log_level="error",  # what clients do wrong is in the responses to them
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._thread = threading.Thread(target=self._run, name="rest-server")
        self._socket: ListeningSocket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    @property
    def streams(self) -> int:
        """How many clients listen to events."""
        return self._hub.readers

    @property
    def url(self) -> str:
        """Where the API is."""
        if self._socket is None:
            return ""
        host = self._socket.host
        if host in EVERYWHERE:
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self._socket.port}{self._settings.api_prefix}"

    def note_readiness(self, reason: str | None) -> None:
        """Note why the controller can start no script; empty when it can, None when that is not known."""
        self._hub.note_readiness(reason)

    def start(self) -> None:
        """Listen and serve; raises PortTaken."""
        self._socket = ListeningSocket(self._settings.host, self._settings.port)
        self._thread.start()

    def stop(self) -> None:
        """End streams, requests and threads; returns when all are gone."""
        self._stopping = True
        self._server.should_exit = True
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has been closed already
                loop.call_soon_threadsafe(self._hub.end_streams)
        self._hub.stop()
        if self._thread.ident is not None:
            self._thread.join()
        self._calls.close()
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the thread's boundary: the device reports it
            _log.exception("the HTTP server has failed")
            self._around.on_failure(f"the HTTP server has failed: {type(error).__name__}: {error}")
        else:
            if not self._stopping:
                self._around.on_failure("the HTTP server has ended by itself")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_TroubleHandler())
        if self._stopping or self._socket is None:
            return
        self._hub.start()
        await self._server.serve(sockets=[self._socket.handle()])


class _TroubleHandler:
    """Logs what goes wrong on the event loop; the want of descriptors only once in a while."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not str(context.get("message", "")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif loop.time() >= self._quiet_until:
            self._quiet_until = loop.time() + ACCEPT_TROUBLE_SECS
            _log.error("no connection can be taken: %s", context.get("exception"))


def _connection(limit: int) -> type[asyncio.Protocol]:
    """Make the protocol of connections: there are at most `limit`, and no more than the system allows."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    places = ConnectionPlaces(max(1, min(limit, descriptors - RESERVED)))
    return cast("type[asyncio.Protocol]", partial(HttpConnection, places=places))


def _open(controller: TangoController, since: Position | None) -> EventStream:
    if since is None:
        return EventStream(controller, since=0)
    return EventStream(controller, since=since.seq, epoch=since.epoch)
