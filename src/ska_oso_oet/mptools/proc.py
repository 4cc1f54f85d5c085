"""The parent's side of a supervised process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from ska_oso_oet.mptools.message import MAX_WORD, EventMessage, MessageDecoder, ProtocolError
from ska_oso_oet.mptools.pipes import WorkerPipes
from ska_oso_oet.mptools.signals import WAKE_SIGNAL
from ska_oso_oet.mptools.worker import STARTED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ska_oso_oet.mptools.pipes import Stream

_log = logging.getLogger(__name__)


class Rung(StrEnum):
    """A rung of the stop ladder."""

    SIGTERM = "SIGTERM"
    SIGKILL = "SIGKILL"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: by an exit code, by a signal, or not known (the fork server died before it).

    `rung` is the rung of the stop ladder that worked, None when nobody asked for the end. `error` says why a
    process could not be made at all, or why the engine killed it.
    """

    code: int | None = None
    signal: int | None = None
    rung: Rung | None = None
    error: str | None = None


class ProcListener(Protocol):
    """Told what happens to a process, on the engine's thread; none of it may block."""

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Take a message of the worker."""

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Take what the process, or one that it started, wrote."""

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Know that the operating system has confirmed the end; the last call for this process."""


class Proc:
    """A child process that runs one ProcWorker, as its parent sees it.

    Made by MainContext.Proc. `send`, `kill`, `terminate`, `full_stop`, `pause_reading`, `resume_reading`
    may be called from any thread; what they ask for is done on the engine's thread. `on_unforked` is called
    from time to time when the process should be gone and was not even forked.
    """

    SHUTDOWN_WAIT_SECS = 3.0
    WAKE_SECS = 0.1
    TELL_SECS = 1.0
    """How long a process may have ended before the fork server, which knows how it did, has told so."""

    def __init__(
        self,
        name: str,
        number: int,
        loop: asyncio.AbstractEventLoop,
        listener: ProcListener,
        on_unforked: Callable[[], None],
    ) -> None:
        self.name = name
        self.number = number
        self.pid: int | None = None
        self.started: Future[bool] = Future()
        self.exited: Future[ExitStatus] = Future()
        self._loop = loop
        self._listener = listener
        self._on_unforked = on_unforked
        self._decoder = MessageDecoder(MAX_WORD)
        self._pidfd: int | None = None
        self._rung: Rung | None = None
        self._fault: str | None = None
        self._stopping = False
        self._overdue = False
        self._escalation: asyncio.TimerHandle | None = None
        self._wake_up: asyncio.TimerHandle | None = None
        self._untold: asyncio.TimerHandle | None = None
        self._orphaned = False
        self._early = bytearray()
        self._pipes: WorkerPipes | None = None

    @property
    def alive(self) -> bool:
        """False once the operating system has confirmed the end."""
        return not self.exited.done()

    @property
    def backlog(self) -> int:
        """Bytes that were sent to the worker and that it has not taken yet."""
        return 0 if self._pipes is None else self._pipes.pending

    # ------------------------------------------------------------ from any thread

    def send(self, message: EventMessage) -> None:
        """Put a message into the worker's inbox; raises TypeError or ValueError if it is not JSON."""
        self._submit(self._send, message.encode())

    def full_stop(self, wait_time: float = SHUTDOWN_WAIT_SECS) -> None:
        """Climb the stop ladder: SIGTERM, and SIGKILL of the process group after `wait_time` seconds."""
        self._submit(self._stop, wait_time)

    def terminate(self, max_retries: int = 3, timeout: float = 0.1) -> bool:
        """Stop the process and wait for it: SIGTERM, then SIGKILL after `max_retries * timeout` seconds.

        Returns True once the process is gone.
        """
        self.full_stop(max_retries * timeout)
        self.exited.result()
        return True

    def kill(self, why: str) -> None:
        """Kill the process, unless it is being stopped; its status says why."""
        self._submit(self._fail, why)

    def pause_reading(self) -> None:
        """Let a worker that sends too much wait; has no effect on one that is being stopped."""
        self._submit(self._pause)

    def resume_reading(self) -> None:
        """Take messages again."""
        self._submit(self._resume)

    def _submit(self, function: Any, *args: Any) -> None:
        # A loop that has closed has no process left to act on.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    # ------------------------------------------------------------ on the engine's thread

    def open(self) -> list[int]:
        """Make the channel and the output pipes; returns what the child gets: channel, stdout, stderr.

        They are kept for another try. Raises OSError when this process has no descriptors left.
        """
        if self._pipes is not None:
            return self._pipes.child_fds
        self._pipes = WorkerPipes(
            self._loop,
            self._on_data,
            lambda stream, data: self._tell(self._listener.on_output, stream, data),
            lambda error: self._fail(f"it cannot be written to: {error}"),
        )
        self._pipes.write(bytes(self._early))
        return self._pipes.child_fds

    def on_forked(self, pid: int, pidfd: int | None) -> None:
        """Know the process that the fork server made; without a pidfd when there was no descriptor left."""
        self.pid = pid
        self._pidfd = pidfd
        if self._pipes is not None:
            self._pipes.release_child_fds()
        if pidfd is not None:
            self._loop.add_reader(pidfd, self._on_pidfd)
        if self._fault is not None:
            self._kill()
        elif self._overdue:
            self._escalate()
        elif self._stopping:
            self._climb()

    def on_gone(self, code: int | None = None, signum: int | None = None, error: str | None = None) -> None:
        """Know that the process is gone: take what it had sent, then tell the listener."""
        if not self.alive:
            return
        for timer in (self._escalation, self._wake_up, self._untold):
            if timer is not None:
                timer.cancel()
        if self._pipes is not None:
            self._pipes.finish()
        self._forget_pidfd()
        status = ExitStatus(code, signum, self._rung, error or self._fault)
        self._tell(self._listener.on_exit, status)
        self.exited.set_result(status)
        if not self.started.done():
            self.started.set_result(False)

    def watch_without_fork_server(self) -> None:
        """Go by the pidfd alone, as the fork server, which would have told of the end, is dead."""
        self._orphaned = True
        if self.pid is None or self._pidfd is None:
            self._kill()
            self.on_gone(error="the fork server died while it made the process")
        elif self._untold is not None:
            self._end_untold(self.pid)

    def _on_pidfd(self) -> None:
        """Know that the process has ended; the fork server is about to tell, unless it hangs or is dead."""
        if self._pidfd is not None and self.pid is not None:
            self._loop.remove_reader(self._pidfd)
            patience = 0.0 if self._orphaned else self.TELL_SECS
            self._untold = self._loop.call_later(patience, self._end_untold, self.pid)

    def _end_untold(self, pid: int) -> None:
        self._kill_group()
        code = signum = None
        # Orphans of the fork server are children of this process, if it is a subreaper.
        with contextlib.suppress(ChildProcessError):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                exit_code = os.waitstatus_to_exitcode(status)
                code, signum = (exit_code, None) if exit_code >= 0 else (None, -exit_code)
        self.on_gone(code, signum)

    def _forget_pidfd(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _on_data(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                if message.msg_type == STARTED and not self.started.done():
                    self.started.set_result(True)
                self._tell(self._listener.on_message, message)
        except ProtocolError as error:
            _log.error("worker %s wrote into its channel what is no message, and is killed", self.name)
            if self._pipes is not None:
                self._pipes.inbox.close()
            self._fault = f"it wrote into the channel of the engine: {error}"
            self._kill()

    def _send(self, frame: bytes) -> None:
        if self._pipes is not None:
            self._pipes.write(frame)
        else:
            self._early += frame  # for when there is a fork server

    def _tell(self, method: Callable[..., None], *args: Any) -> None:
        try:
            method(self, *args)
        except Exception:  # noqa: BLE001 - the boundary of the engine
            # A bug in a listener must not cost the next message.
            _log.exception("a listener of worker %s failed", self.name)

    def _pause(self) -> None:
        if not self._stopping and self._pipes is not None:
            self._pipes.inbox.pause()

    def _resume(self) -> None:
        if self._pipes is not None:
            self._pipes.inbox.resume()

    def _fail(self, why: str) -> None:
        if self.alive and not self._stopping:
            self._fault = why
            self._kill()

    def _stop(self, wait_time: float) -> None:
        """Begin to climb, or bring an escalation that is due later forward."""
        if not self.alive:
            return
        due = self._loop.time() + wait_time
        if self._escalation is None or due < self._escalation.when():
            if self._escalation is not None:
                self._escalation.cancel()
            self._escalation = self._loop.call_at(due, self._escalate)
        if not self._stopping:
            self._stopping = True
            self._resume()  # what it had sent before is not lost, and it is not stuck in a write
            if self.pid is not None:
                self._climb()

    def _climb(self) -> None:
        self._rung = Rung.SIGTERM
        self._signal(signal.SIGCONT)  # a process that is halted (SIGSTOP) would not see what follows
        self._signal(signal.SIGTERM)
        self._wake_up = self._loop.call_later(self.WAKE_SECS, self._signal, WAKE_SIGNAL)

    def _escalate(self) -> None:
        self._overdue = True  # if it is not forked yet, it is killed once it is
        if self.pid is not None:
            self._rung = Rung.SIGKILL
            _log.info("process %d is sent SIGKILL: SIGTERM has not ended it in time", self.pid)
            self._kill()
        else:
            # Asked for until it is forked, or the fork server is found to hang.
            self._on_unforked()
            self._escalation = self._loop.call_later(self.TELL_SECS, self._escalate)

    def _kill(self) -> None:
        if self._signal(signal.SIGKILL):
            self._kill_group()

    def _signal(self, signum: int) -> bool:
        """Send a signal; tells whether there is still a process to take it."""
        if not self.alive:
            return False
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signum)
            elif self.pid is not None:
                os.kill(self.pid, signum)
        except ProcessLookupError:
            return False
        return self.pid is not None

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.pid is not None:
                os.killpg(self.pid, signal.SIGKILL)
