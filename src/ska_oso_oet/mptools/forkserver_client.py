"""ForkServerClient is the controller's end of the fork server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.mptools.descendants import pulse
from ska_oso_oet.mptools.orphans import Orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_REQUEST: Final = 65536
"""Bytes of the largest request or reply."""

STILL_SECS: Final = 5.0
"""A fork server that owes a reply hangs when it has had no processor for so long: a slow one gets some."""
LONGEST_SECS: Final = 120.0
"""How long it may owe a reply at most, whatever it does."""
_LOOK_SECS: Final = 1.0
_DEATH_SECS: Final = 1.0
"""How long the end of a fork server that was killed is waited for before another one replaces it."""
CLOSE_SECS: Final = 5.0
"""How long a fork server may need to end its workers; they have a grace period of its own."""
_ENVIRONMENT: Final = {"PYTHONUNBUFFERED": "1"}
"""For the Python programs that scripts start: their output, too, is seen when it is written."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What a fork server, and so each worker, begins with: modules and an environment."""

    preload: list[str]
    environment: Mapping[str, str]


class ForkServerClient:
    """Starts a fork server, sends requests, receives replies, and notices when it dies or hangs.

    `on_lost(lived, unsent)` is called once, when it is of no use any more: dead, or killed and not dead yet.
    It has lived for `lived` seconds, and the requests `unsent` were not sent to it.
    Raises OSError when it cannot be started. All of it happens on the thread of `loop`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Start,
        on_reply: Callable[[dict[str, Any], list[int]], None],
        on_lost: Callable[[float, list[int]], None],
    ) -> None:
        self._loop = loop
        self._on_reply = on_reply
        self._on_lost: Callable[[float, list[int]], None] | None = on_lost
        self._born = self._busy_since = monotonic()
        self._waiting: deque[tuple[int, bytes, list[int]]] = deque()
        self._unreplied: dict[int, float] = {}
        self.ready = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            self._process = self._start(theirs.fileno(), start)
        self.pid = self._process.pid
        Orphans.spare(self.pid)
        self._dead = loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._pulse = ""
        loop.add_reader(self._pidfd, self._on_dead)
        loop.add_reader(self._socket, self._on_readable)
        self._watch: asyncio.TimerHandle | None = None
        self._watch_it()

    def _start(self, fd: int, start: Start) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "ska_oso_oet.mptools.forkserver", str(fd), *start.preload],
                pass_fds=[fd],
                env={**start.environment, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is the controller's to handle
            )
        except OSError:
            self._socket.close()
            raise

    @property
    def dead(self) -> bool:
        """True once the operating system has confirmed its end."""
        return self._dead.done()

    def request(self, number: int, packet: bytes, fds: list[int]) -> None:
        """Ask for the worker of process `number`."""
        self.expect(number)
        self._waiting.append((number, packet, fds))
        if len(self._waiting) == 1:
            self._on_writable()

    def expect(self, number: int) -> None:
        """Know that it owes a word on process `number`: that it is made, or how it has ended."""
        self._unreplied[number] = monotonic()
        if self._watch is None and self.ready:
            self._watch_it()

    async def close(self) -> None:
        """Let the fork server end, and wait for it."""
        self._on_lost = None
        if not self.ready:
            self._process.kill()  # it has no workers to end, and may hang
        self._leave()
        if not await self._ended(CLOSE_SECS):
            _log.error("the fork server does not end, and is killed")
            self._process.kill()
            if not await self._ended(_DEATH_SECS):
                _log.error("the fork server, process %d, could not be killed", self.pid)
                self._forget()

    async def _ended(self, seconds: float) -> bool:
        await asyncio.wait([self._dead], timeout=seconds)
        return self._dead.done()

    # ------------------------------------------------------------ whether it works

    def _watch_it(self) -> None:
        """Check, while it owes a reply, whether it goes on: nothing reports that a process hangs."""
        self._busy_since = monotonic()
        self._watch = self._loop.call_later(_LOOK_SECS, self._look)

    def _look(self) -> None:
        self._watch = None
        if self.ready and not self._unreplied:
            return
        now = monotonic()
        if (seen := pulse(self.pid)) != self._pulse:
            self._pulse, self._busy_since = seen, now
        owing = now - (min(self._unreplied.values()) if self.ready else self._born)
        if min(owing, now - self._busy_since) > STILL_SECS or owing > LONGEST_SECS:
            what = "has not answered" if self.ready else "has not started"
            _log.error("the fork server, process %d, %s for %.0f s, and is killed", self.pid, what, owing)
            self._end()
        else:
            self._watch = self._loop.call_later(_LOOK_SECS, self._look)

    def _end(self) -> None:
        self._leave()
        self._process.kill()
        # Its workers come to this process when it has ended; one that hangs in the kernel may not.
        self._watch = self._loop.call_later(_DEATH_SECS, self._report_lost)

    def _leave(self) -> None:
        self.ready = False
        if self._watch is not None:
            self._watch.cancel()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _report_lost(self) -> None:
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(monotonic() - self._born, [number for number, _, _ in self._waiting])

    def _on_dead(self) -> None:
        # Where it died as it forked, the child still has the other end, and there is no end of the file.
        with contextlib.suppress(BlockingIOError):
            while self._read():
                pass
        self._process.wait()
        self._leave()
        self._forget()
        self._dead.set_result(None)
        self._report_lost()

    def _forget(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        Orphans.spare_no_longer(self.pid)

    # ------------------------------------------------------------ requests and replies

    def _handle(self, reply: dict[str, Any], fds: list[int]) -> None:
        if "ready" in reply:
            self.ready = True
        for word in ("forked", "failed", "exited"):
            self._unreplied.pop(reply.get(word, 0), None)
        self._on_reply(reply, fds)

    def _on_writable(self) -> None:
        while self._waiting:
            number, packet, fds = self._waiting[0]
            try:
                socket.send_fds(self._socket, [packet], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._on_writable)
                return
            except ConnectionError:
                return  # it died; the reader notices
            except OSError as error:
                self._handle({"failed": number, "why": str(error)}, [])
            self._waiting.popleft()
        self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            if not self._read():
                self._end()  # one that has closed its socket is dying, or of no use

    def _read(self) -> bool:
        """Read a reply; returns False when there will be none any more."""
        try:
            packet, fds, _, _ = socket.recv_fds(self._socket, MAX_REQUEST, 1)
        except BlockingIOError:
            raise
        except OSError:
            return False
        if packet:
            self._handle(json.loads(packet), fds)
        return bool(packet)
