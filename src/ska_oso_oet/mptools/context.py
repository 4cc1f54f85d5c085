"""MainContext is the parent of a set of worker processes: one event loop, one thread, one fork server."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from ska_oso_oet.mptools.descendants import become_subreaper
from ska_oso_oet.mptools.forkserver_client import MAX_REQUEST, Start
from ska_oso_oet.mptools.forkserver_keeper import ForkServerKeeper
from ska_oso_oet.mptools.orphans import Orphans
from ska_oso_oet.mptools.ports import Keepers
from ska_oso_oet.mptools.proc import Proc as ChildProc
from ska_oso_oet.mptools.queue import MPQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from ska_oso_oet.mptools.exits import ExitStatus
    from ska_oso_oet.mptools.ports import ProcListener
    from ska_oso_oet.mptools.worker import ProcWorker

_log = logging.getLogger(__name__)
_REAP_SECS: Final = 3.0
"""How long a stop of the context waits, after SIGKILL, for what the operating system does not end."""


class MainContext:
    """Owns worker processes and message queues: makes them, listens to them and stops them.

    Everything that happens to a worker is reported to its listener on one thread, the engine's thread. This
    thread belongs to the context; it waits on all pipes at once and never blocks.
    """

    STOP_WAIT_SECS = 3.0

    def __init__(self, preload: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Have workers preload modules, and run with an environment (None: that of this process)."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="oet-engine", daemon=True)
        self._numbers = itertools.count(1)
        self._procs: dict[int, ChildProc] = {}
        self._queues: list[MPQueue] = []
        start = Start(list(preload), os.environ if environment is None else environment)
        self._keeper = ForkServerKeeper(self._loop, start, self._on_reply, self._on_lost)
        self._orphans = Orphans(self._loop, self._keeper.undead, self._workers)
        self._keepers = Keepers(self._keeper.withdraw, self._keeper.expect_exit, self._orphans)
        self._stopped = False

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
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def stop(self) -> tuple[int, int]:
        """Stop every worker, the fork server and the thread; returns what `stop_procs` returned."""
        if self._stopped:
            return 0, 0
        self._stopped = True
        outcome = self.stop_procs()
        self.stop_queues()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
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
        be JSON, and few: what is big is sent as a message. Returns at once; `Proc.started` is done when the
        worker is up. Raises TypeError or ValueError for arguments that cannot be passed.
        """
        target = worker_class if isinstance(worker_class, str) else _path_of(worker_class)
        proc = ChildProc(name, next(self._numbers), self._loop, listener, self._keepers)
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
        """Stop every worker by the stop ladder, side by side; one that is being stopped keeps its own time.

        Returns how many ended with a non-zero exit code, and how many had to be killed. What cannot be killed
        is not waited for.
        """
        statuses = asyncio.run_coroutine_threadsafe(self._stop_living(), self._loop).result()
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
        return self._keeper.ready

    @property
    def down_for(self) -> float:
        """Seconds for which there has been no fork server that is up; 0 when there is one."""
        return self._keeper.down_for

    @property
    def fork_server_pid(self) -> int | None:
        """Process id of the fork server, None while there is none."""
        return self._keeper.pid

    # ------------------------------------------------------------ on the engine's thread

    async def _start(self) -> None:
        self._keeper.start()

    async def _stop_living(self) -> list[ExitStatus]:
        procs = list(self._procs.values())
        due = max((proc.stop_within(self.STOP_WAIT_SECS) for proc in procs), default=0.0)
        ends = [asyncio.wrap_future(proc.exited) for proc in procs]
        if ends:
            await asyncio.wait(ends, timeout=due + _REAP_SECS - self._loop.time())
        for proc in procs:
            proc.on_gone(error="it was still there when the engine stopped")
        return [proc.exited.result() for proc in procs]

    def _launch(self, proc: ChildProc, request: bytes) -> None:
        self._procs[proc.number] = proc
        proc.exited.add_done_callback(lambda _: self._procs.pop(proc.number, None))
        self._keeper.request(proc, request)

    async def _close(self) -> None:
        await self._keeper.close()
        for proc in list(self._procs.values()):
            proc.on_gone(error="the engine has stopped")
        self._orphans.close()

    def _workers(self) -> list[tuple[int, int]]:
        return [(proc.number, proc.pid) for proc in self._procs.values() if proc.pid is not None]

    def _on_reply(self, reply: dict[str, Any], fds: list[int]) -> None:
        [number] = (reply[word] for word in ("forked", "failed", "exited", "left") if word in reply)
        proc = self._procs.get(number)
        if proc is None:
            for fd in fds:
                os.close(fd)
        elif "forked" in reply:
            proc.on_forked(reply["pid"], fds[0] if fds else None)
        elif "exited" in reply:
            proc.on_exited(reply["code"], reply["signal"])
        elif "left" in reply:
            proc.on_left(reply["pids"])
        else:
            proc.on_failed(reply["why"])

    def _on_lost(self) -> None:
        """Watch workers directly: nobody reports their end any more."""
        for proc in list(self._procs.values()):
            if not self._keeper.is_waiting(proc.number):
                proc.watch_without_fork_server()


def _path_of(worker_class: type[ProcWorker]) -> str:
    return f"{worker_class.__module__}:{worker_class.__qualname__}"
