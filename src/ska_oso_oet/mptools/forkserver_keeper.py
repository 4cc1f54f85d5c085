"""ForkServerKeeper keeps one fork server that works, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from ska_oso_oet.mptools.forkserver_client import ForkServerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ska_oso_oet.mptools.forkserver_client import Start

_log = logging.getLogger(__name__)
_SHORT_LIFE_SECS: Final = 2.0
_RESTART_PAUSE_SECS: Final = 1.0
WAIT_SECS: Final = 60.0
"""How long a request waits for a fork server that is up; it then fails."""


class Requester(Protocol):
    """Who asks for a process."""

    number: int

    def open(self) -> list[int]:
        """Return the descriptors that the process gets; raises OSError."""

    def on_failed(self, why: str) -> None:
        """Know that the process is not made."""


@dataclass(frozen=True, slots=True)
class _Request:
    proc: Requester
    packet: bytes
    patience: asyncio.TimerHandle


class ForkServerKeeper:
    """Starts a fork server, another when it dies or hangs, and asks it for processes.

    Requests that come while no fork server is up wait, and can be withdrawn. `on_reply` receives the replies.
    `on_lost` is called when a fork server is of no use any more: its open requests will have no reply. All of
    it happens on the thread of `loop`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Start,
        on_reply: Callable[[dict[str, Any], list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._beginning = start
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._current: ForkServerClient | None = None
        self._all: list[ForkServerClient] = []
        self._waiting: dict[int, _Request] = {}
        self._asked: dict[int, tuple[Requester, bytes]] = {}
        self._down_since: float | None = monotonic()
        self._closed = False

    @property
    def ready(self) -> bool:
        """True when there is a fork server that has started up."""
        server = self._current
        return server is not None and server.ready

    @property
    def pid(self) -> int | None:
        """Process id of the fork server, None while there is none."""
        server = self._current
        return None if server is None else server.pid

    @property
    def down_for(self) -> float:
        """Seconds for which there has been no fork server that is up; 0 when there is one."""
        since = self._down_since
        return 0.0 if since is None else monotonic() - since

    def undead(self) -> Iterable[int]:
        """Name the fork servers that were killed and have not ended."""
        return [server.pid for server in self._all if server is not self._current and not server.dead]

    def is_waiting(self, number: int) -> bool:
        """Return whether a request for a process waits, and was not sent to a fork server yet."""
        return number in self._waiting

    def expect_exit(self, number: int) -> None:
        """Make sure that the end of a process is reported; the fork server must have noticed it."""
        if self._current is not None:
            self._current.expect(number)

    # ------------------------------------------------------------ requests

    def request(self, proc: Requester, packet: bytes) -> None:
        """Ask for a process."""
        if self._closed:
            proc.on_failed("the engine has stopped")
        elif self._current is not None and self._current.ready:
            self._ask(self._current, proc, packet)
        else:
            patience = self._loop.call_later(WAIT_SECS, self._on_impatient, proc)
            self._waiting[proc.number] = _Request(proc, packet, patience)

    def withdraw(self, number: int) -> bool:
        """Withdraw a request; returns False if it is too late."""
        request = self._waiting.pop(number, None)
        if request is None:
            return False
        request.patience.cancel()
        return True

    def _on_impatient(self, proc: Requester) -> None:
        if self._waiting.pop(proc.number, None):
            proc.on_failed(f"no fork server has started up within {WAIT_SECS:g} s")

    def _ask(self, server: ForkServerClient, proc: Requester, packet: bytes) -> None:
        try:
            fds = proc.open()
        except OSError as error:
            proc.on_failed(str(error))
        else:
            self._asked[proc.number] = proc, packet
            server.request(proc.number, packet, fds)

    def _pop_waiting(self) -> list[_Request]:
        waiting = list(self._waiting.values())
        for request in waiting:
            self.withdraw(request.proc.number)
        return waiting

    # ------------------------------------------------------------ fork servers

    def start(self) -> None:
        """Start a fork server; when that fails, try again later."""
        if self._closed:
            return
        try:
            self._current = ForkServerClient(self._loop, self._beginning, self._on_word, self._on_loss)
        except OSError as error:
            _log.exception("a fork server could not be started; it is tried again")
            self._loop.call_later(_RESTART_PAUSE_SECS, self.start)
            for request in self._pop_waiting():
                request.proc.on_failed(f"no fork server: {error}")
        else:
            self._all = [*(server for server in self._all if not server.dead), self._current]

    async def close(self) -> None:
        """End the fork server, and start no other."""
        self._closed = True
        await asyncio.gather(*(server.close() for server in self._all))

    def _on_word(self, reply: dict[str, Any], fds: list[int]) -> None:
        if "ready" not in reply:
            self._asked.pop(reply.get("forked", reply.get("failed", 0)), None)
            self._on_reply(reply, fds)
            return
        self._down_since = None
        for request in self._pop_waiting():
            self.request(request.proc, request.packet)

    def _on_loss(self, lived: float, unsent: list[int]) -> None:
        """Go on without a fork server, and start another; requests that this one never got go to that one."""
        _log.error("the fork server was lost after %.1f s; a new one is started", lived)
        self._current = None
        if self._down_since is None:  # one that has never been up makes it no shorter
            self._down_since = monotonic()
        asked, self._asked = self._asked, {}
        for number in unsent:
            self.request(*asked[number])
        self._on_lost()
        # One that dies young would be restarted in a busy loop.
        pause = _RESTART_PAUSE_SECS if lived < _SHORT_LIFE_SECS else 0.0
        self._loop.call_later(pause, self.start)
