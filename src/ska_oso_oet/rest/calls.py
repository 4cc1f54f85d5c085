"""Blocking calls to the controller are made in threads that are few and owned."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

P = ParamSpec("P")
R = TypeVar("R")


class Calls:
    """Runs what blocks outside the event loop.

    `thread_context` surrounds each call: Tango wants `tango.EnsureOmniThread` in foreign threads.
    """

    ASKING = 8
    STOPPING = 4

    def __init__(self, thread_context: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._context = thread_context
        self._asking = _executor(self.ASKING, "rest-call")
        self._stopping = _executor(self.STOPPING, "rest-stop")

    async def ask(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a call."""
        return await self._run(self._asking, partial(fn, *args, **kwargs))

    async def stop(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a call that ends something: it does not wait behind those that do not."""
        return await self._run(self._stopping, partial(fn, *args, **kwargs))

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(pool, self._surrounded, call)

    def _surrounded(self, call: Callable[[], R]) -> R:
        with self._context():
            return call()

    def close(self) -> None:
        """Wait for the calls that are being made, and end the threads."""
        for pool in (self._asking, self._stopping):
            pool.shutdown(cancel_futures=True)


def _executor(threads: int, name: str) -> ThreadPoolExecutor:
    """Make an executor with all its threads: later the system may have none left."""
    executor = ThreadPoolExecutor(threads, name)
    together = Barrier(threads)
    for begun in [executor.submit(together.wait) for _ in range(threads)]:
        begun.result()
    return executor
