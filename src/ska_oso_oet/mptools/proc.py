"""The parent's side of a supervised process."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ska_oso_oet.mptools.message import EventMessage, MessageDecoder, ProtocolError
from ska_oso_oet.mptools.stream import Reader, Writer
from ska_oso_oet.mptools.worker import STARTED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_OUTPUT_CHUNK = 65536


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


Stream = Literal["stdout", "stderr"]


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

    Made by MainContext.Proc. `send`, `terminate`, `full_stop`, `pause_reading` and `resume_reading` may be
    called from any thread; what they ask for is done on the engine's thread.
    """

    SHUTDOWN_WAIT_SECS = 3.0
    RETRY_SECS = 0.1

    def __init__(
        self, name: str, number: int, loop: asyncio.AbstractEventLoop, listener: ProcListener
    ) -> None:
        self.name = name
        self.number = number
        self.pid: int | None = None
        self.started: Future[bool] = Future()
        self.exited: Future[ExitStatus] = Future()
        self._loop = loop
        self._listener = listener
        self._decoder = MessageDecoder()
        self._pidfd: int | None = None
        self._rung: Rung | None = None
        self._fault: str | None = None
        self._stopping = False
        self._overdue = False
        self._escalation: asyncio.TimerHandle | None = None
        self._repetition: asyncio.TimerHandle | None = None
        self._channel: int | None = None
        self._child_fds: list[int] = []
        self._writer: Writer | None = None
        self._early = bytearray()
        self._inbox: Reader | None = None
        self._outputs: list[Reader] = []

    @property
    def alive(self) -> bool:
        """False once the operating system has confirmed the end."""
        return not self.exited.done()

    @property
    def backlog(self) -> int:
        """Bytes that were sent to the worker and that it has not taken yet."""
        return 0 if self._writer is None else self._writer.pending

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

        Raises OSError when this process has no descriptors left.
        """
        fds: list[int] = []
        try:
            fds += [end.detach() for end in socket.socketpair()]
            fds += [*os.pipe(), *os.pipe(), os.dup(fds[0])]
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        self._channel, child_channel, out, child_out, err, child_err, inbox = fds
        self._child_fds = [child_channel, child_out, child_err]
        self._writer = Writer(self._loop, self._channel)
        self._writer.write(bytes(self._early))
        self._inbox = Reader(self._loop, inbox, self._on_data)
        self._outputs = [self._output_reader(out, "stdout"), self._output_reader(err, "stderr")]
        return self._child_fds

    def _output_reader(self, fd: int, stream: Stream) -> Reader:
        return Reader(
            self._loop, fd, lambda data: self._tell(self._listener.on_output, stream, data), _OUTPUT_CHUNK
        )

    def _release_child_fds(self) -> None:
        """Close this process's copies of them, once the child has them."""
        for fd in self._child_fds:
            os.close(fd)
        self._child_fds = []

    def on_forked(self, pid: int, pidfd: int | None) -> None:
        """Know the process that the fork server made; without a pidfd when there was no descriptor left."""
        self.pid = pid
        self._pidfd = pidfd
        self._release_child_fds()
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
        for timer in (self._escalation, self._repetition):
            if timer is not None:
                timer.cancel()
        self._close()
        self._forget_pidfd()
        status = ExitStatus(code, signum, self._rung, error or self._fault)
        self._tell(self._listener.on_exit, status)
        self.exited.set_result(status)
        if not self.started.done():
            self.started.set_result(False)

    def _close(self) -> None:
        """Take what the process had sent, and give the descriptors back."""
        self._release_child_fds()
        if self._inbox is not None:
            self._inbox.finish()
        for reader in self._outputs:
            reader.finish()
        if self._writer is not None:
            self._writer.close()
        if self._channel is not None:
            os.close(self._channel)
            self._channel = None

    def watch_without_fork_server(self) -> None:
        """Wait for the end by the pidfd, as the fork server, which would have told of it, is dead."""
        if self._pidfd is None:
            self._kill()
            self.on_gone(error="the fork server died while it made the process")
        else:
            self._loop.add_reader(self._pidfd, self._on_pidfd)

    def _on_pidfd(self) -> None:
        assert self.pid is not None  # noqa: S101 - a pidfd comes with its pid
        self._kill_group()
        self._forget_pidfd()
        code = signum = None
        # Orphans of the fork server are children of this process, if it is a subreaper.
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, os.WNOHANG)
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
            self._fault = f"it wrote into the channel of the engine: {error}"
            if self._inbox is not None:
                self._inbox.close()
            self._kill()

    def _send(self, frame: bytes) -> None:
        if self._writer is not None:
            self._writer.write(frame)
        else:
            self._early += frame  # for when there is a fork server

    def _tell(self, method: Callable[..., None], *args: Any) -> None:
        try:
            method(self, *args)
        except Exception:  # noqa: BLE001 - the boundary of the engine
            # A bug in a listener must not cost the next message.
            _log.exception("a listener of worker %s failed", self.name)

    def _pause(self) -> None:
        if not self._stopping and self._inbox is not None:
            self._inbox.pause()

    def _resume(self) -> None:
        if self._inbox is not None:
            self._inbox.resume()

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
        self._interrupt()
        # Python misses a signal that comes just before a system call, until that returns.
        self._repetition = self._loop.call_later(self.RETRY_SECS, self._interrupt)

    def _interrupt(self) -> None:
        self._signal(signal.SIGCONT)  # a process that is halted (SIGSTOP) would not see what follows
        self._signal(signal.SIGTERM)

    def _escalate(self) -> None:
        self._overdue = True  # if it is not forked yet, it is killed once it is
        if self.pid is not None:
            self._rung = Rung.SIGKILL
            self._kill()

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
