"""Proc is the parent's side of a supervised process."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ska_oso_oet.mptools.exits import ExitStatus, Remains
from ska_oso_oet.mptools.handle import Handle
from ska_oso_oet.mptools.message import MAX_WORD, MessageDecoder, ProtocolError
from ska_oso_oet.mptools.orphans import Orphans
from ska_oso_oet.mptools.pipes import WorkerChannel, WorkerPipes
from ska_oso_oet.mptools.stop_ladder import StopLadder
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
        self._ladder = StopLadder(loop, name)
        self._fault: str | None = None
        self._exit: tuple[int | None, int | None] | None = None
        self._orphaned = False
        self._channel = WorkerChannel(self._make_pipes)

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
        """Bytes that were sent to the worker and that it has not read yet."""
        return self._channel.backlog

    @property
    def remains(self) -> Remains | None:
        """What is still there of a process that was killed."""
        return self._ladder.remains

    # ------------------------------------------------------------ from any thread

    def send(self, message: EventMessage) -> None:
        """Put a message into the worker's inbox; raises TypeError or ValueError if it is not JSON."""
        self._submit(self._channel.send, message.encode())

    def full_stop(self, wait_time: float = SHUTDOWN_WAIT_SECS) -> None:
        """Climb the stop ladder: SIGTERM, and SIGKILL of the process group after `wait_time` seconds."""
        self._submit(self._stop, wait_time)

    def terminate(self, max_retries: int = 3, timeout: float = 0.1) -> bool:
        """Stop it and return True once it is gone; `max_retries * timeout` seconds are until SIGKILL."""
        self.full_stop(max_retries * timeout)
        self.exited.result()
        return True

    def kill(self, why: str) -> None:
        """Kill the process, unless it is being stopped; its status has the reason."""
        self._submit(self._fail, why)

    def pause_reading(self) -> None:
        """Let a worker that sends too much wait; has no effect on one that is being stopped."""
        self._submit(self._channel.pause)

    def resume_reading(self) -> None:
        """Read messages again."""
        self._submit(self._channel.resume)

    def _submit(self, function: Any, *args: Any) -> None:
        # A loop that has closed has no process left to act on.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    # ------------------------------------------------------------ on the engine's thread

    def open(self) -> list[int]:
        """Make the channel and the output pipes; returns what the child gets: channel, stdout, stderr.

        They are kept for another try. Raises OSError when this process has no descriptors left.
        """
        return self._channel.open()

    def _make_pipes(self) -> WorkerPipes:
        return WorkerPipes(
            self._loop,
            self._on_data,
            lambda stream, data: self._report(self._listener.on_output, stream, data),
            lambda error: self._fail(f"it cannot be written to: {error}"),
        )

    def on_forked(self, pid: int, pidfd: int | None) -> None:
        """Know the process that the fork server made; without a pidfd when there was no descriptor left."""
        Orphans.spare(pid)
        self._handle = Handle(self._loop, pid, pidfd, self._on_ended)
        self._channel.release_child_fds()
        self._ladder.on_forked(self._handle, condemned=self._fault is not None)

    def on_failed(self, why: str) -> None:
        """Know that the process is not made."""
        self.on_gone(f"the process could not be made: {why}")

    def on_exited(self, code: int | None, signum: int | None) -> None:
        """Know how the process has ended."""
        self._exit = code, signum

    def on_left(self, pids: Collection[int]) -> None:
        """Know which processes are still there that it may have left; when there are none, all is over."""
        self._ladder.on_left(pids)
        if not pids:
            self.on_gone()

    def on_gone(self, error: str | None = None) -> None:
        """Note that nothing is left of the process: read what it had sent, then report its end."""
        if not self.alive:
            return
        self._keepers.orphans.forget(self.number)
        self._ladder.end()
        self._channel.finish()
        if self._handle is not None:
            Orphans.spare_no_longer(self._handle.pid)
            self._handle.close()
        status = ExitStatus(*(self._exit or (None, None)), self._ladder.rung, error or self._fault)
        self._report(self._listener.on_exit, status)
        self.exited.set_result(status)
        if not self.started.done():
            self.started.set_result(False)

    def watch_without_fork_server(self) -> None:
        """Watch the process itself: the fork server, which would have reported its end, is dead."""
        self._orphaned = True
        if self._handle is None or not self._handle.watched:
            self._fault = self._fault or "the fork server died while it made the process"
            self._ladder.kill()
            self._clear_up()
        elif self._handle.ended:
            self._clear_up()

    def _on_ended(self) -> None:
        if self._orphaned:
            self._clear_up()
        elif self._exit is None:
            self._keepers.expect_exit(self.number)

    def _clear_up(self) -> None:
        """Reap it, as the fork server cannot, and report its end once nothing that it has left is there."""
        if self._handle is not None:
            self._exit = self._handle.reap() or self._exit
            Orphans.spare_no_longer(self._handle.pid)
        self._keepers.orphans.clear_up(self.number, self.on_left)

    def _on_data(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                if message.msg_type == STARTED and not self.started.done():
                    self.started.set_result(True)
                self._report(self._listener.on_message, message)
        except ProtocolError as error:
            _log.error("worker %s wrote into its channel what is no message, and is killed", self.name)
            self._channel.hang_up()
            self._fault = f"it wrote into the channel of the engine: {error}"
            self._ladder.kill()

    def _report(self, method: Callable[..., None], *args: Any) -> None:
        try:
            method(self, *args)
        except Exception:  # noqa: BLE001 - a bug in a listener must not cost the next message
            _log.exception("a listener of worker %s failed", self.name)

    def _fail(self, why: str) -> None:
        if self.alive and not self._ladder.begun:
            self._fault = why
            self._ladder.kill()

    def stop_within(self, wait_time: float) -> float:
        """Stop it unless it is being stopped; returns when it is due to be killed, by the loop's clock."""
        if not self._ladder.begun:
            self._stop(wait_time)
        return self._ladder.due

    def _stop(self, wait_time: float) -> None:
        if not self.alive or not self._ladder.begin(wait_time):
            return
        self._channel.drain()  # what it had sent before is not lost, and it is not stuck in a write
        if self._handle is not None:
            self._ladder.climb(self._handle)
        elif self._keepers.withdraw(self.number):
            self.on_gone()
