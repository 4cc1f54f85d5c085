"""The parent context of a set of worker processes: one event loop, one thread, one fork server."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from ska_oso_oet.mptools.descendants import become_subreaper
from ska_oso_oet.mptools.forkserver_client import MAX_REQUEST, ForkServerClient
from ska_oso_oet.mptools.proc import Proc as ChildProc
from ska_oso_oet.mptools.proc import ProcListener
from ska_oso_oet.mptools.queue import MPQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from ska_oso_oet.mptools.worker import ProcWorker

_log = logging.getLogger(__name__)
_SHORT_LIFE_SECS: Final = 2.0
_RESTART_PAUSE_SECS: Final = 1.0


class MainContext:
    """Owns worker processes and message queues: makes them, listens to them and stops them.

    Everything that happens to a worker is told to its listener on the one thread of this context, the
    engine's thread, which waits on all pipes at once and never blocks.
    """

    STOP_WAIT_SECS = 3.0

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = list(preload)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="oet-engine", daemon=True)
        self._numbers = itertools.count(1)
        self._procs: dict[int, ChildProc] = {}
        self._queues: list[MPQueue] = []
        self._fork_server: ForkServerClient | None = None
        self._waiting: list[tuple[ChildProc, bytes]] = []
        self._stopped = False
        self._closed = False

    # ------------------------------------------------------------ life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the engine's thread and the fork server; workers may be made at once."""
        become_subreaper()  # workers become ours if the fork server dies, so that their end can be learnt
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start_fork_server(), self._loop).result()

    def stop(self) -> tuple[int, int]:
        """Stop every worker, the fork server and the thread; returns what `stop_procs` returned."""
        if self._stopped:
            return 0, 0
        self._stopped = True
        outcome = self.stop_procs()
        self.stop_queues()
        asyncio.run_coroutine_threadsafe(self._stop_fork_server(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        return outcome

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the engine's thread, after what was submitted before."""
        self._loop.call_soon_threadsafe(function, *args)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Have a function called on the engine's thread after `delay` seconds; only from that thread."""
        return self._loop.call_later(delay, function, *args)

    # ------------------------------------------------------------ workers and queues

    def Proc(  # noqa: N802 - the original's name
        self,
        name: str,
        worker_class: type[ProcWorker] | str,
        *args: Any,
        listener: ProcListener,
        **kwargs: Any,
    ) -> ChildProc:
        """Make a process that runs a worker.

        `worker_class` is a class that the child can import, or its path `module:Class`; the arguments must
        be JSON, and few: what is big is sent as a message. Returns at once: `Proc.started` tells when the
        worker is up. Raises TypeError or ValueError for arguments that cannot be passed.
        """
        target = worker_class if isinstance(worker_class, str) else _path_of(worker_class)
        proc = ChildProc(name, next(self._numbers), self._loop, listener, self._kill_hung_fork_server)
        content = {
            "fork": proc.number,
            "target": target,
            "name": name,
            "args": args,
            "kwargs": kwargs,
            "sys_path": sys.path,
        }
        request = json.dumps(content, allow_nan=False).encode()
        if len(request) > MAX_REQUEST:
            raise ValueError(f"the arguments of {name} are too big: {len(request)} bytes of {MAX_REQUEST}")
        self.submit(self._launch, proc, request)
        return proc

    def MPQueue(self) -> MPQueue:  # noqa: N802 - the original's name
        """Make a message queue that this context closes at its end."""
        queue = MPQueue()
        self._queues.append(queue)
        return queue

    def stop_procs(self) -> tuple[int, int]:
        """Stop every worker by the stop ladder, side by side.

        Returns how many ended with a non-zero exit code, and how many had to be killed.
        """
        procs = asyncio.run_coroutine_threadsafe(self._living(), self._loop).result()
        for proc in procs:
            proc.full_stop(self.STOP_WAIT_SECS)
        statuses = [proc.exited.result() for proc in procs]
        return (
            sum(1 for status in statuses if status.code),
            sum(1 for status in statuses if status.signal is not None),
        )

    def stop_queues(self) -> int:
        """Drain and close every queue; returns how many messages were left."""
        left = sum(queue.safe_close() for queue in self._queues)
        self._queues.clear()
        return left

    @property
    def ready(self) -> bool:
        """True when there is a fork server that has started up."""
        server = self._fork_server
        return server is not None and server.ready

    @property
    def fork_server_pid(self) -> int | None:
        """Process id of the fork server, None while there is none."""
        server = self._fork_server
        return None if server is None else server.pid

    # ------------------------------------------------------------ on the engine's thread

    async def _living(self) -> list[ChildProc]:
        return list(self._procs.values())

    def _launch(self, proc: ChildProc, request: bytes) -> None:
        self._procs[proc.number] = proc
        proc.exited.add_done_callback(lambda _: self._procs.pop(proc.number, None))
        if self._closed:
            self._end(proc.number, error="the engine has stopped")
        elif self._fork_server is None:
            self._waiting.append((proc, request))  # for the new one
        else:
            self._request(self._fork_server, proc, request)

    def _request(self, fork_server: ForkServerClient, proc: ChildProc, request: bytes) -> None:
        try:
            fds = proc.open()
        except OSError as error:
            self._end(proc.number, error=f"the process could not be made: {error}")
        else:
            fork_server.request(proc.number, request, fds)

    def _end(
        self, number: int, code: int | None = None, signum: int | None = None, error: str | None = None
    ) -> None:
        if (proc := self._procs.get(number)) is not None:
            proc.on_gone(code, signum, error)

    def _kill_hung_fork_server(self) -> None:
        """End a fork server that does not fork: what it was asked for fails, and a new one is started."""
        if self._fork_server is not None and self._fork_server.hangs:
            _log.error("the fork server does not answer, and is killed")
            self._fork_server.kill()

    async def _start_fork_server(self) -> None:
        self._new_fork_server()

    def _new_fork_server(self) -> None:
        if self._closed:
            return
        waiting, self._waiting = self._waiting, []
        try:
            self._fork_server = ForkServerClient(self._loop, self._preload, self._on_answer, self._on_lost)
        except OSError as error:
            _log.exception("a fork server could not be started; it is tried again")
            self._loop.call_later(_RESTART_PAUSE_SECS, self._new_fork_server)
            for proc, _ in waiting:
                self._end(proc.number, error=f"the process could not be made: no fork server: {error}")
        else:
            for proc, request in waiting:
                self._request(self._fork_server, proc, request)

    async def _stop_fork_server(self) -> None:
        self._closed = True
        if self._fork_server is not None:
            self._fork_server.close()
        for number in list(self._procs):
            self._end(number, error="the engine has stopped")

    def _on_answer(self, answer: dict[str, Any], fds: list[int]) -> None:
        if "forked" in answer:
            self._procs[answer["forked"]].on_forked(answer["pid"], fds[0] if fds else None)
        elif "exited" in answer:
            self._end(answer["exited"], answer["code"], answer["signal"])
        elif "failed" in answer:
            self._end(answer["failed"], error=f"the process could not be made: {answer['why']}")

    def _on_lost(self, lived: float, unsent: list[tuple[int, bytes]]) -> None:
        """Go on without the fork server: its workers are watched directly, and a new one is started.

        What it was never asked for, the new one is.
        """
        self._fork_server = None
        _log.error("the fork server died after %.1f s; a new one is started", lived)
        self._waiting += [
            (self._procs[number], request) for number, request in unsent if number in self._procs
        ]
        waiting = {proc.number for proc, _ in self._waiting}
        for proc in list(self._procs.values()):
            if proc.number not in waiting:
                proc.watch_without_fork_server()
        # One that dies young would be restarted in a busy loop.
        pause = _RESTART_PAUSE_SECS if lived < _SHORT_LIFE_SECS else 0.0
        self._loop.call_later(pause, self._new_fork_server)


def _path_of(worker_class: type[ProcWorker]) -> str:
    return f"{worker_class.__module__}:{worker_class.__qualname__}"
