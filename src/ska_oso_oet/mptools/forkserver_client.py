"""The controller's end of the fork server."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

MAX_REQUEST: Final = 65536
"""Bytes of the largest request or answer."""

HUNG_SECS: Final = 5.0
"""How long a fork server may take to fork on a loaded machine; it then counts as hung."""
CLOSE_SECS: Final = 5.0
"""How long a fork server may take to end its workers; it gives them a grace of its own."""
_ENVIRONMENT: Final = {"PYTHONUNBUFFERED": "1"}
"""For the Python programs that scripts start: their output, too, is seen when it is written."""
_log = logging.getLogger(__name__)


class ForkServerClient:
    """Starts a fork server, sends requests, takes answers and notices its death.

    Raises OSError when it cannot be started. All of it happens on the thread of `loop`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        preload: list[str],
        on_answer: Callable[[dict[str, Any], list[int]], None],
        on_lost: Callable[[float, list[tuple[int, bytes]]], None],
    ) -> None:
        self._loop = loop
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._born = monotonic()
        self._waiting: deque[tuple[int, bytes, list[int]]] = deque()
        self._unanswered: dict[int, float] = {}
        self.ready = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            self._process = self._start(theirs.fileno(), preload)
        self.pid = self._process.pid
        loop.add_reader(self._socket, self._on_readable)

    def _start(self, fd: int, preload: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "ska_oso_oet.mptools.forkserver", str(fd), *preload],
                pass_fds=[fd],
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is the controller's to handle
            )
        except OSError:
            self._socket.close()
            raise

    def request(self, number: int, packet: bytes, fds: list[int]) -> None:
        """Ask for the worker of process `number`."""
        self._unanswered[number] = monotonic()
        self._waiting.append((number, packet, fds))
        if len(self._waiting) == 1:
            self._on_writable()

    def close(self) -> None:
        """Let the fork server end, and wait for it."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        try:
            self._process.wait(CLOSE_SECS)
        except subprocess.TimeoutExpired:
            _log.error("the fork server does not end, and is killed")
            self.kill()
            self._process.wait()

    @property
    def hangs(self) -> bool:
        """True when it has worked, and has now left a request without an answer for HUNG_SECS."""
        oldest = min(self._unanswered.values(), default=monotonic())
        return self.ready and monotonic() - oldest > HUNG_SECS

    def _take(self, answer: dict[str, Any], fds: list[int]) -> None:
        if "ready" in answer:
            self.ready = True
        self._unanswered.pop(answer.get("forked", answer.get("failed", 0)), None)
        self._on_answer(answer, fds)

    def kill(self) -> None:
        """Kill the fork server; `on_lost` is called once that is noticed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

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
                self._take({"failed": number, "why": str(error)}, [])
            self._waiting.popleft()
        self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        try:
            packet, fds, _, _ = socket.recv_fds(self._socket, MAX_REQUEST, 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._take(json.loads(packet), fds)
            return
        self.kill()  # a fork server that closed its socket is of no use
        self.close()
        unsent = [(number, packet) for number, packet, _ in self._waiting]
        self._on_lost(monotonic() - self._born, unsent)
