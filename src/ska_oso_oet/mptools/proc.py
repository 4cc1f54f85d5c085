"""The parent's side of a supervised process."""

from __future__ import annotations

import contextlib
import logging
import signal
from concurrent.futures import Future
from math import inf
from time import time
from typing import TYPE_CHECKING, Any

from ska_oso_oet.mptools.exits import ExitStatus, Remains, Rung
from ska_oso_oet.mptools.handle import Handle
from ska_oso_oet.mptools.message import MAX_WORD, MessageDecoder, ProtocolError
from ska_oso_oet.mptools.orphans import Orphans
from ska_oso_oet.mptools.pipes import WorkerPipes
from ska_oso_oet.mptools.signals import WAKE_SIGNAL
from ska_oso_oet.mptools.worker import STARTED

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from ska_oso_oet.mptools.message import EventMessage
    from ska_oso_oet.mptools.ports import Keepers, ProcListener

_log = logging.getLogger(__name__)


class Proc:
    """A child process that runs one ProcWorker, as its parent sees it.

    Made by MainContext.Proc. `send`, `kill`, `terminate`, `full_stop`, `pause_reading`, `resume_reading`
    may be called from any thread; what they ask for is done on the engine's thread.
    """

    SHUTDOWN_WAIT_SECS = 3.0
    WAKE_SECS = 0.1

    def __init__(
        self,
        name: str,
        number: int,
        loop: asyncio.AbstractEventLoop,
        listener: ProcListener,
        keepers: Keepers,
    ) -> None:
        self.name = name
        self.number = number
        self.started: Future[bool] = Future()
        self.exited: Future[ExitStatus] = Future()
        self._loop = loop
        self._listener = listener
        self._keepers = keepers
        self._decoder = MessageDecoder(MAX_WORD)
        self._handle: Handle | None = None
        self._rung: Rung | None = None
        self._fault: str | None = None
        self._stopping = False
        self._overdue = False
        self._escalation: asyncio.TimerHandle | None = None
        self._wake_up: asyncio.TimerHandle | None = None
        self._exit: tuple[int | None, int | None] | None = None
        self._left: Collection[int] = ()
        self._killed_at = inf
        self._orphaned = False
        self._early = bytearray()
        self._pipes: WorkerPipes | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before it is forked."""
        return None if self._handle is None else self._handle.pid

    @property
    def alive(self) -> bool:
        """False once the operating system has confirmed the end."""
        return not self.exited.done()

    @property
    def backlog(self) -> int:
        """Bytes that were sent to the worker and that it has not taken yet."""
        return 0 if self._pipes is None else self._pipes.pending

    @property
    def remains(self) -> Remains | None:
        """What is still there of a process that was killed."""
        if not self.alive or self._handle is None or self._killed_at == inf:
            return None
        left = self._left if self._handle.ended else [self._handle.pid]
        return Remains(frozenset(left), self._killed_at) if left else None

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
        Orphans.spare(pid)
        self._handle = Handle(self._loop, pid, pidfd, self._on_ended)
        if self._pipes is not None:
            self._pipes.release_child_fds()
        if self._fault is not None:
            self._kill()
        elif self._overdue:
            self._escalate()
        elif self._stopping:
            self._climb(self._handle)

    def on_failed(self, why: str) -> None:
        """Know that the process is not made."""
        self.on_gone(f"the process could not be made: {why}")

    def on_exited(self, code: int | None, signum: int | None) -> None:
        """Know how the process has ended."""
        self._exit = code, signum

    def on_left(self, pids: Collection[int]) -> None:
        """Know which processes are still there that it may have left; when there are none, all is over."""
        self._left = pids
        self._killed_at = min(self._killed_at, time())
        if not pids:
            self.on_gone()

    def on_gone(self, error: str | None = None) -> None:
        """Know that nothing is left of the process: take what it had sent, then tell the listener."""
        if not self.alive:
            return
        self._keepers.orphans.forget(self.number)
        for timer in (self._escalation, self._wake_up):
            if timer is not None:
                timer.cancel()
        if self._pipes is not None:
            self._pipes.finish()
        if self._handle is not None:
            Orphans.spare_no_longer(self._handle.pid)
            self._handle.close()
        if self._stopping and self._rung is None:
            self._rung = Rung.SIGTERM  # there was nothing yet that could have been asked
        status = ExitStatus(*(self._exit or (None, None)), self._rung, error or self._fault)
        self._tell(self._listener.on_exit, status)
        self.exited.set_result(status)
        if not self.started.done():
            self.started.set_result(False)

    def watch_without_fork_server(self) -> None:
        """Go by the process itself, as the fork server, which would have told of the end, is dead."""
        self._orphaned = True
        if self._handle is None or not self._handle.watched:
            self._fault = self._fault or "the fork server died while it made the process"
            self._kill()
            self._clear_up()
        elif self._handle.ended:
            self._clear_up()

    def _on_ended(self) -> None:
        if self._orphaned:
            self._clear_up()
        elif self._exit is None:
            self._keepers.expect_exit(self.number)

    def _clear_up(self) -> None:
        """Reap it, as the fork server cannot, and tell the end once nothing is there that it has left."""
        if self._handle is not None:
            self._exit = self._handle.reap() or self._exit
            Orphans.spare_no_longer(self._handle.pid)
        self._keepers.orphans.clear_up(self.number, self.on_left)

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
        except Exception:  # noqa: BLE001 - a bug in a listener must not cost the next message
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

    def stop_within(self, wait_time: float) -> float:
        """Stop it unless it is being stopped; tells when it is due to be killed, by the clock of the loop."""
        if self._escalation is None:
            self._stop(wait_time)
        return self._loop.time() if self._escalation is None else self._escalation.when()

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
            if self._handle is not None:
                self._climb(self._handle)
            elif self._keepers.withdraw(self.number):
                self.on_gone()

    def _climb(self, process: Handle) -> None:
        self._rung = Rung.SIGTERM
        process.signal(signal.SIGCONT)  # a process that is halted (SIGSTOP) would not see what follows
        process.signal(signal.SIGTERM)
        self._wake_up = self._loop.call_later(self.WAKE_SECS, process.signal, WAKE_SIGNAL)

    def _escalate(self) -> None:
        self._overdue = True  # if it is not forked yet, it is killed once it is
        if self._handle is not None:
            self._rung = Rung.SIGKILL
            _log.info("process %d (%s) is sent SIGKILL: SIGTERM has not ended it", self.pid, self.name)
            self._kill()

    def _kill(self) -> None:
        self._killed_at = min(self._killed_at, time())
        if self._handle is not None and self.alive:
            self._handle.kill()
