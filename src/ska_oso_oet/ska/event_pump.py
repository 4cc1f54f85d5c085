"""One thread through which everything that a device tells its subscribers leaves, in order.

Pushing a Tango event takes the monitor of the device, which a client's request may hold, and a push
made under a lock that such a request wants stalls both for seconds. So whoever has something to tell
puts it here, which takes no time and may be done under any lock; one thread, which holds no lock,
pushes it.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from ska_oso_oet.ska.subscribers import size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EventPump"]

_log = logging.getLogger(__name__)

RETRY_PAUSES = (0.01, 0.05, 0.25, 1.0)
"""Seconds before each further try of a push that failed, before it is given up."""

ENTRY_BYTES: Final = 16 * 1024
"""An entry counts once more in the backlog for each so many bytes that wait with it."""

_NOTHING: Final = object()
"""What subscribers have been told of a name before its first event, and when one was lost."""


class EventPump:
    """A first-in first-out queue of events and the only thread that pushes them.

    `push(name, value)` sends one event. When it raises `retry_on` it is tried again after each of
    `pauses` (seconds), then the event is logged, counted in `dropped` and left out; the next event of
    that name gets one try only until one succeeds, so that an event that can never be pushed does not
    hold up the others. Any other exception is a bug: it is logged with its stack trace.

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
        self._push = push
        self._retry_on = retry_on
        self._wrap = wrap
        self._pauses = pauses
        # The lock under this condition is never held while anything outside this class runs.
        self._wake = threading.Condition(threading.Lock())
        self._queue: deque[tuple[float, int, Callable[[], None]]] = deque()
        self._current_since: float | None = None
        self._weight = 0
        self._current_weight = 0
        self._timed: list[tuple[float, int, Callable[[], None], bool]] = []
        self._order = count()
        self._coalesced: dict[str, float] = {}
        self._pending: set[str] = set()
        self._waiters: list[tuple[int, Callable[[], None]]] = []
        self._failing: set[str] = set()
        self._told: dict[str, object] = {}
        self._stopping = False
        self._abandoned = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    # ------------------------------------------------------------ from any thread, under any lock

    def put(self, name: str, value: object) -> None:
        """Send the event `name` with `value`, which nobody may change any more, after all before it."""
        self._append(partial(self._send, name, value), size_of(value))

    def call(self, fn: Callable[[], None]) -> None:
        """Run `fn` on the pump's thread after everything that was put before.

        If it has an attribute `size`, so many bytes wait with it.
        """
        self._append(fn, getattr(fn, "size", 0))

    def call_later(self, delay: float, fn: Callable[[], None]) -> None:
        """Run `fn` on the pump's thread in `delay` seconds, or never if the pump is stopped before."""
        with self._wake:
            self._schedule(delay, fn, flush=False)

    def coalesce(self, name: str, supplier: Callable[[], object], interval: float = 0.1) -> None:
        """Send the event `name` with `supplier()` now, or as soon as `interval` s have passed since the last.

        `supplier` is called on the pump's thread when the event is sent, so the newest state is always
        sent in the end, also when the pump is stopped before it is due.
        """
        with self._wake:
            if name in self._pending or self._stopping:
                return
            self._pending.add(name)
            wait = self._coalesced.get(name, -interval) + interval - time.monotonic()
            action = partial(self._send_newest, name, supplier)
            if wait > 0:
                self._schedule(wait, action, flush=True)
            else:
                self._enqueue(action, 0)

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, on the pump's thread, as soon as `backlog` is `level` or less.

        After `stop` it is never called.
        """
        with self._wake:
            self._waiters.append((level, callback))
            self._wake.notify()

    @property
    def backlog(self) -> int:
        """How many entries wait or are being sent; what is scheduled for later is not among them.

        A large one counts as several: once more for each ENTRY_BYTES.
        """
        with self._wake:
            return self._backlog()

    @property
    def lag(self) -> float:
        """For how many seconds the oldest entry has been waiting; 0 if there is none."""
        with self._wake:
            since = self._current_since
            if since is None and self._queue:
                since = self._queue[0][0]
        return 0.0 if since is None else time.monotonic() - since

    # ------------------------------------------------------------ from the owner

    def tell_changes_only(self, name: str) -> None:
        """From now on, send no event of this name with the value of the event before; before `start`.

        This is compared here because cppTango's own comparison has a fault: of an attribute that it
        compares, it sends nobody a change event any more once a client has subscribed to its alarm events
        and has left.
        """
        self._told[name] = _NOTHING

    def start(self) -> None:
        """Start the thread; what was put before is sent now."""
        if self._thread is not None:
            raise RuntimeError("the event pump has been started already")
        self._thread = threading.Thread(target=self._run, name="event-pump", daemon=True)
        self._thread.start()

    def settle(self, timeout: float = 5.0) -> bool:
        """Wait until what was put so far has been sent, at most `timeout` seconds; say whether it has."""
        if self._thread in {None, threading.current_thread()}:
            return False
        settled = threading.Event()
        self.call(settled.set)
        return settled.wait(timeout)

    def stop(self, timeout: float = 5.0) -> bool:
        """Send what was put so far, end the thread and say whether it has ended.

        What cannot be sent within `timeout` seconds is given up; what is put from now on is ignored.
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
                self._enqueue(action, size)

    def _enqueue(self, action: Callable[[], None], size: int) -> None:
        weight = 1 + size // ENTRY_BYTES
        self._weight += weight
        self._queue.append((time.monotonic(), weight, action))
        self._wake.notify()

    def _schedule(self, delay: float, action: Callable[[], None], *, flush: bool) -> None:
        if not self._stopping:
            heapq.heappush(self._timed, (time.monotonic() + delay, next(self._order), action, flush))
            self._wake.notify()

    def _backlog(self) -> int:
        return self._weight + self._current_weight

    def _take_due(self) -> float | None:
        """Move what is due to the queue; answer the seconds until more is, None if nothing is scheduled."""
        now = time.monotonic()
        while self._timed and (self._stopping or self._timed[0][0] <= now):
            _, _, action, flush = heapq.heappop(self._timed)
            if flush or not self._stopping:
                self._enqueue(action, 0)
        return self._timed[0][0] - now if self._timed else None

    def _take_satisfied(self) -> list[Callable[[], None]]:
        level = self._backlog()
        ready = [callback for limit, callback in self._waiters if level <= limit]
        self._waiters = [(limit, callback) for limit, callback in self._waiters if level > limit]
        return ready

    def _next(self) -> list[Callable[[], None]]:
        """Wait for what to run next; an empty list ends the thread."""
        with self._wake:
            self._current_since, self._current_weight = None, 0
            while True:
                pause = self._take_due()
                if self._abandoned:
                    return self._give_up()
                if ready := self._take_satisfied():
                    return ready
                if self._queue:
                    self._current_since, self._current_weight, action = self._queue.popleft()
                    self._weight -= self._current_weight
                    return [action]
                if self._stopping:
                    return []
                self._wake.wait(pause)

    def _give_up(self) -> list[Callable[[], None]]:
        self.dropped += len(self._queue)
        if self._queue:
            _log.error("The event pump was stopped before %d events could be sent", len(self._queue))
        self._queue.clear()
        self._weight = 0
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

    def _send(self, name: str, value: object) -> None:
        if name in self._told and self._told[name] == value:
            return
        pauses = () if name in self._failing else self._pauses
        for pause in (*pauses, None):
            try:
                self._push(name, value)
            except self._retry_on as error:
                if pause is None or not self._rest(pause):
                    self._drop(name, error)
                    return
            else:
                self._note(name, value)
                return

    def _note(self, name: str, value: object) -> None:
        self._failing.discard(name)
        if name in self._told:
            self._told[name] = value

    def _rest(self, pause: float) -> bool:
        """Wait before the next try; False if the pump was told to give up."""
        with self._wake:
            return not self._wake.wait_for(lambda: self._abandoned, pause)

    def _drop(self, name: str, error: BaseException) -> None:
        self.dropped += 1
        if name in self._told:
            self._told[name] = _NOTHING
        if name not in self._failing:
            self._failing.add(name)
            _log.error("The event %s could not be pushed and is lost: %s", name, error)

    def _send_newest(self, name: str, supplier: Callable[[], object]) -> None:
        with self._wake:
            # A change made from here on, also while the supplier runs, is sent once more.
            self._pending.discard(name)
            self._coalesced[name] = time.monotonic()
        self._send(name, supplier())
