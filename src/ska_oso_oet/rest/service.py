"""The HTTP service as a whole: a socket, uvicorn on a thread of its own, and its way to the controller."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn

from ska_oso_oet.errors import OetError
from ska_oso_oet.rest.app import create_app
from ska_oso_oet.rest.backend import Backend
from ska_oso_oet.rest.calls import Calls
from ska_oso_oet.rest.endings import Endings
from ska_oso_oet.rest.stream import EventHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ska_oso_oet.rest.controller import Controller, Events
    from ska_oso_oet.rest.guards import Counter
    from ska_oso_oet.rest.settings import RestSettings
    from ska_oso_oet.rest.stream import Position

_log = logging.getLogger(__name__)

BACKLOG: Final = 1024
GRACE: Final = 2
"""Seconds that requests have to end in when the service stops; streams are ended at once."""


class PortTaken(OetError):
    """The service cannot listen where it should."""

    code = "OET_PortTaken"


@dataclass(frozen=True)
class Surroundings:
    """What the service reports to, and what its threads need.

    `on_reachable(message)` has None when the controller answers, and what is wrong when it does not;
    `on_failure(message)` says that the service has ended by itself. Threads of the service call them.
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

    def __init__(self, controller: Controller, settings: RestSettings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        self._calls = Calls(around.thread_context)
        self._hub = EventHub(
            lambda since: _open(controller, since),
            around.on_reachable,
            around.thread_context,
            around.on_streams,
        )
        backend = Backend(controller, self._calls, self._hub, Endings(controller, self._calls))
        app = create_app(backend, settings, settings.token(), around.counter)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
                log_level="warning",
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._thread = threading.Thread(target=self._run, name="rest-server")
        self._socket: socket.socket | None = None
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
        port = self._socket.getsockname()[1]
        host = self._settings.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{self._settings.api_prefix}"

    def tell_readiness(self, reason: str | None) -> None:
        """Note why the controller can start no script; empty when it can, None when that is not known."""
        self._hub.tell_readiness(reason)

    def start(self) -> None:
        """Listen and serve; raises PortTaken."""
        self._socket = _listen(self._settings.host, self._settings.port)
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
        except Exception as error:  # noqa: BLE001 - the thread's boundary: the device tells it
            _log.exception("the HTTP server has failed")
            self._around.on_failure(f"the HTTP server has failed: {type(error).__name__}: {error}")
        else:
            if not self._stopping:
                self._around.on_failure("the HTTP server has ended by itself")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._stopping or self._socket is None:
            return
        self._hub.start()
        await self._server.serve(sockets=[self._socket])


def _open(controller: Controller, since: Position | None) -> Events:
    if since is None:
        return controller.events()
    return controller.events(since=since.seq, epoch=since.epoch)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        # Only for a socket that names its protocol does asyncio turn Nagle's algorithm off (40 ms an answer).
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"address {host} cannot be used: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise PortTaken(f"port {port} of {host} cannot be used: {error.strerror}") from None
    return listening
