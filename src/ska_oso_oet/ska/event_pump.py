"""EventPump pushes, in order and from one thread, everything that a device sends to its subscribers.

A push of a Tango event needs the monitor of the device, which a client's request may hold. If that request
waits for a lock that the pushing thread holds, both stand still for seconds. So an event is only put here,
which takes no time and may be done under any lock; one thread, which holds no lock, pushes it.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ska_oso_oet.ska.pump_queue import ENTRY_BYTES, PumpQueue
from ska_oso_oet.ska.pusher import Pusher
from ska_oso_oet.ska.subscribers import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ENTRY_BYTES", "EventPump"]

_log = logging.getLogger(__name__)

RETRY_PAUSES = (0.01, 0.05, 0.25, 1.0)
"""Seconds before each further try of a push that failed, before it is given up."""


class EventPump:
    """A first-in first-out queue of events and the only thread that pushes them.

    `push(name, value)` pushes one event, as Pusher does: tried again after `pauses` when it raises
    `retry_on`, then lost. Any other exception is a bug: it is logged with its stack trace.

    The thread runs inside `wrap()`. While there is nothing to do it sleeps without a time limit.
    """

    def __init__(
        self,
        push: Callable[[str, object], None],
        *,
        retry_on: type[BaseException],
        wrap: Callable[[], AbstractContextManager[object]] = nullcontext,
        pauses: Sequence[float] = RETRY_PAUSES,
    ) -> None:
        self._pusher = Pusher(push, retry_on, pauses, self._rest)
        self._wrap = wrap
        # The lock under this condition is never held while anything outside this class runs.
        self._wake = threading.Condition(threading.Lock())
        self._queue = PumpQueue()
        self._stopping = False
        self._abandoned = False
        self._given_up = 0
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------ from any thread, under any lock

    def put(self, name: str, value: object) -> None:
        """Push the event `name` with `value`, which nobody may change any more, after all before it."""
        self._append(partial(self._pusher.push, name, value), size_of(value))

    def call(self, fn: Callable[[], None]) -> None:
        """Run `fn` on the pump's thread after everything that was put before.

        If it has an attribute `size`, so many bytes wait with it.
        """
        self._append(fn, getattr(fn, "size", 0))

    def call_later(self, delay: float, fn: Callable[[], None]) -> None:
        """Run `fn` on the pump's thread in `delay` seconds, or never if the pump is stopped before."""
        with self._wake:
            if not self._stopping:
                self._queue.schedule(delay, fn)
                self._wake.notify()

    def coalesce(self, name: str, supplier: Callable[[], object], interval: float = 0.1) -> None:
        """Push the event `name` with `supplier()` now, or as soon as `interval` s have passed since the last.

        `supplier` is called on the pump's thread when the event is pushed, so the newest state is always
        pushed in the end, also when the pump is stopped before it is due.
        """
        with self._wake:
            if not self._stopping:
                self._queue.coalesce(name, partial(self._push_newest, name, supplier), interval)
                self._wake.notify()

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, on the pump's thread, as soon as `backlog` is `level` or less.

        After `stop` it is never called.
        """
        with self._wake:
            self._queue.when_below(level, callback)
            self._wake.notify()

    @property
    def backlog(self) -> int:
        """How many entries wait or are being run; what is scheduled for later is not among them.

        A large one counts as several: once more for each ENTRY_BYTES.
        """
        with self._wake:
            return self._queue.backlog

    @property
    def lag(self) -> float:
        """For how many seconds the oldest entry has been waiting; 0 if there is none."""
        with self._wake:
            since = self._queue.waits_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def dropped(self) -> int:
        """How many events were lost: pushed in vain, or left when the pump was stopped."""
        return self._pusher.dropped + self._given_up

    @property
    def failing(self) -> frozenset[str]:
        """Names whose newest event was lost, so that subscribers have an older value."""
        return self._pusher.failing

    # ------------------------------------------------------------ from the pump's thread

    def push(self, name: str, value: object) -> None:
        """Push an event at once, before all that waits; for what runs on this thread, with no lock held.

        All events of one name are pushed so, or all are put: else they would overtake each other.
        """
        if self._thread is not threading.current_thread():
            raise RuntimeError(f"{name} is to be pushed on the pump's thread only")
        self._pusher.push(name, value)

    # ------------------------------------------------------------ from the owner

    def push_changes_only(self, name: str) -> None:
        """From now on, push no event of this name with the value of the event before; before `start`."""
        self._pusher.push_changes_only(name)

    def start(self) -> None:
        """Start the thread; what was put before is pushed now."""
        if self._thread is not None:
            raise RuntimeError("the event pump has been started already")
        self._thread = threading.Thread(target=self._run, name="event-pump", daemon=True)
        self._thread.start()

    def settle(self, timeout: float = 5.0) -> bool:
        """Wait until what was put so far has been pushed, at most `timeout` s; returns whether it has."""
        if self._thread in {None, threading.current_thread()}:
            return False
        settled = threading.Event()
        self.call(settled.set)
        return settled.wait(timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """Push what was put so far, end the thread and return whether it has ended.

        What cannot be pushed within `timeout` seconds is dropped; what is put from now on is ignored.
        """
        with self._wake:
            self._stopping = True
            self._wake.notify()
        thread = self._thread
        if thread is None:
            return True
        if thread is threading.current_thread():
            return False
        thread.join(timeout)
        if thread.is_alive():
            with self._wake:
                self._abandoned = True
                self._wake.notify()
            thread.join(timeout)
        return not thread.is_alive()

    # ------------------------------------------------------------ under the lock

    def _append(self, action: Callable[[], None], size: int) -> None:
        with self._wake:
            if not self._stopping:
                self._queue.append(action, size)
                self._wake.notify()

    def _next(self) -> list[Callable[[], None]]:
        """Wait for what to run next; an empty list ends the thread."""
        with self._wake:
            self._queue.end()
            while True:
                pause = self._queue.move_due(ending=self._stopping)
                if self._abandoned:
                    return self._drop_rest()
                if ready := self._queue.satisfied():
                    return ready
                if (action := self._queue.begin()) is not None:
                    return [action]
                if self._stopping:
                    return []
                self._wake.wait(pause)

    def _drop_rest(self) -> list[Callable[[], None]]:
        self._given_up = self._queue.clear()
        if self._given_up:
            _log.error("The event pump was stopped before %d events could be pushed", self._given_up)
        return []

    # ------------------------------------------------------------ on the pump's thread

    def _run(self) -> None:
        with self._wrap():
            while actions := self._next():
                for action in actions:
                    try:
                        action()
                    except Exception:  # noqa: BLE001 - the pump's thread must outlive every subscriber's bug
                        _log.exception("The event pump could not run %r", action)

    def _rest(self, pause: float) -> bool:
        """Wait before the next try; return False if there is to be none."""
        with self._wake:
            return not self._wake.wait_for(lambda: self._abandoned, pause)

    def _push_newest(self, name: str, supplier: Callable[[], object]) -> None:
        with self._wake:
            # A change made from here on, also while the supplier runs, is pushed once more.
            self._queue.reopen(name)
        self._pusher.push(name, supplier())
