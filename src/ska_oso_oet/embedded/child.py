"""A server process lives no longer here than the process that started it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from ska_oso_oet import stop_notice
from ska_oso_oet.embedded.room import LogFile
from ska_oso_oet.errors import OetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

READY_LINE = "Ready to accept request"  # every Tango server, C++ and Python, prints this when it serves
_ALARM = re.compile(r"\b(ERROR|CRITICAL|FATAL)\b")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LONGEST_LINE = 1 << 16
_DEATH_SECS = 5.0  # from SIGKILL to the end; the kernel needs that long only when it is in trouble
_NOT_STARTED = 127  # the exit code of a shell for a program that it cannot start
_libc = ctypes.CDLL(None)


class StackError(OetError):
    """The embedded stack cannot start or cannot go on; the message names the part and the reason."""

    code: ClassVar[str] = "OET_EmbeddedStack"


def show(message: str) -> None:
    """Print a line for the person at the terminal, if it still exists; stdout is kept for the ready line."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - `oet up` prints this for its user


class Child:
    """A child process, what it prints, and its end.

    It runs in a session of its own, so that Ctrl-C at the terminal reaches only its parent, which
    stops the parts in order. The kernel kills it when its parent is gone, whatever ended that.
    Everything it prints goes to a log file; lines that report an error are shown as well.

    `handed` are descriptors that it inherits, by the environment variables that have their numbers. Needs
    a running event loop in the main thread, and no other threads.
    """

    def __init__(
        self, name: str, argv: Sequence[str], log_dir: Path, handed: Mapping[str, int] | None = None
    ) -> None:
        self.name = name
        self.log = log_dir / f"{name.replace('/', '-')}.log"
        self.tail: deque[str] = deque(maxlen=20)
        self.umask = -1
        """What the process begins with; -1 is that of this one."""
        self.ready: asyncio.Future[None]
        self.exit: asyncio.Future[int]
        self._argv = list(argv)
        self._handed = handed or {}
        self._loop = asyncio.get_running_loop()
        self._writer = LogFile(self.log, maxBytes=10_000_000, backupCount=3, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = self._pidfd = -1
        self._partial = b""
        self._limit: asyncio.Timeout | None = None

    @property
    def serves(self) -> bool:
        """Whether the server has reported that it serves."""
        return self.ready.done() and not self.ready.cancelled()

    def spawn(self, env: Mapping[str, str]) -> None:
        """Start the process; `ready` and `exit` then report what becomes of it."""
        self.ready = self._loop.create_future()
        self.exit = self._loop.create_future()
        self.tail.clear()
        self._partial = b""
        self._pipe, write_end = os.pipe()
        os.set_blocking(self._pipe, False)
        handed = {variable: str(number) for variable, number in self._handed.items()}
        try:
            self._process = subprocess.Popen(
                self._argv,
                env={**env, **handed, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=self.umask,
                pass_fds=tuple(self._handed.values()),
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no other threads run here
            )
        except OSError as error:
            os.close(self._pipe)
            self.tail.append(str(error))
            self.exit.set_result(_NOT_STARTED)
            raise StackError(f"{self.name} cannot be started: {error}") from None
        finally:
            os.close(write_end)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pipe, self._on_output)
        self._loop.add_reader(self._pidfd, self._on_exit)

    async def stop(self, grace: float, hurry: asyncio.Event | None = None) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; returns when the process is gone, if it can be ended.

        A server that reports that it needs longer gets that time. Once `hurry` is set, it is killed at once.
        """
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            if not await self._ended_within(grace, hurry or asyncio.Event()):
                self._kill_group()
                if not await self._ended_within(_DEATH_SECS, asyncio.Event()):
                    show(f"{self.name}, process {self._process.pid}, does not end though it was killed")
        self._writer.close()

    async def _ended_within(self, grace: float, hurry: asyncio.Event) -> bool:
        hurrying = asyncio.create_task(hurry.wait())
        ends: set[asyncio.Future[Any]] = {self.exit, hurrying}
        try:
            async with asyncio.timeout(grace) as self._limit:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            show(f"{self.name} did not stop within {grace:g} s and is killed")
        finally:
            hurrying.cancel()
            self._limit = None
        return self.exit.done()

    async def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self._kill_group()
        await asyncio.shield(self.exit)

    def obituary(self) -> str:
        """How the process ended and the last lines that it printed."""
        return f"{self.name} {_describe(self.exit.result())}; {self.last_words()}"

    def last_words(self) -> str:
        """Quote the last lines that the process has printed."""
        lines = "".join(f"\n    {line}" for line in self.tail)
        return f"the end of its log {self.log}:{lines or ' empty'}"

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _on_output(self) -> None:
        while chunk := self._read():
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            if len(self._partial) > _LONGEST_LINE:
                lines.append(self._partial)
                self._partial = b""
            for line in lines:
                self._on_line(line.decode(errors="replace"))

    def _read(self) -> bytes:
        """Read what is there; empty when there is no more for the present, or ever."""
        try:
            chunk = os.read(self._pipe, _LONGEST_LINE)
        except BlockingIOError:
            return b""
        if not chunk:
            self._loop.remove_reader(self._pipe)
        return chunk

    def _on_line(self, line: str) -> None:
        self._writer.emit(logging.makeLogRecord({"msg": line}))
        self.tail.append(line)
        if line == READY_LINE and not self.ready.done():
            self.ready.set_result(None)
        seconds = stop_notice.read(line)
        if seconds is not None and self._limit is not None:
            self._allow_time(seconds, self._limit)
        if _ALARM.search(line):
            show(f"{self.name}: {line}")

    def _allow_time(self, seconds: float, limit: asyncio.Timeout) -> None:
        due = self._loop.time() + seconds
        if due > (limit.when() or 0.0):
            limit.reschedule(due)
        show(f"waiting for {self.name}, at most {seconds:g} s; told to stop once more, it is ended at once")

    def _on_exit(self) -> None:
        if self._process is None:
            return
        # The ended leader is not reaped yet, so its number cannot belong to anyone else.
        self._kill_group()
        code = self._process.wait()
        self._process = None
        self._on_output()
        for descriptor in (self._pipe, self._pidfd):
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self.exit.set_result(code)
        if not self.ready.done():
            self.ready.set_exception(StackError(self.obituary()))
            self.ready.exception()  # read here: nobody may be waiting for it


def _describe(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Make a `preexec_fn` with which a child gets this signal when the thread that starts it is gone."""
    parent = os.getpid()

    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return arrange
