"""A thread reads the inbox of a ScriptWorker: orders wait for their turn, events are published at once."""

from __future__ import annotations

import os
import queue
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.mptools import WAKE_SIGNAL, EventMessage, MPQueue, QueueClosed
from ska_oso_oet.worker.orders import Order

if TYPE_CHECKING:
    from collections.abc import Collection

    from ska_oso_oet.worker.script_bus import ScriptBus
    from ska_oso_oet.worker.script_log import ScriptLog

ORPHAN_WAKE_SECS: Final = 0.1
ORPHAN_GRACE_SECS: Final = 0.9


class OrderInbox:
    """The messages from the controller, read on a thread, so that a script hears events while it runs.

    `signals` interrupt the script on the main thread; the thread here leaves them to it. When the
    controller is gone, the process is ended.
    """

    def __init__(
        self, messages: MPQueue, signals: Collection[int], bus: ScriptBus, script_log: ScriptLog
    ) -> None:
        self._messages = messages
        self._signals = signals
        self._bus = bus
        self._script_log = script_log
        self._thread = threading.Thread(target=self._read, name="oet-inbox", daemon=True)
        self._orders: queue.SimpleQueue[EventMessage] = queue.SimpleQueue()
        self._delivering = False
        self._over = False

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def next_order(self, expected: Order) -> EventMessage:
        """Wait for the next order; raises RuntimeError when it is another than the `expected` one."""
        # The reader thread ends the process if the controller goes away, so that this needs no timeout.
        order = self._orders.get()
        if order.msg_type != expected:
            raise RuntimeError(f"{order.msg_type} was ordered where {expected} was due")
        return order

    def is_alone(self) -> bool:
        """Return whether nothing of the script runs but this thread; no event is published to it any more."""
        self._over = True
        others = {threading.current_thread(), self._thread}
        return not self._delivering and others >= set(threading.enumerate())

    def _read(self) -> None:
        """Read messages until the controller is gone, and then end this process."""
        # A signal that this thread received would not wake the main thread, where the script may wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        while True:
            try:
                message = self._messages.get(unless=self._script_log)
            except queue.Empty:
                self._script_log.relay()
                continue
            except QueueClosed:
                self._end_orphaned()
                return
            if message.msg_type == Order.PUBSUB:
                self._deliver(message.msg["topic"], message.msg["data"])
            else:
                self._orders.put(message)

    def _deliver(self, topic: str, data: dict[str, Any]) -> None:
        # What a listener starts must not inherit that the signals are blocked here.
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        self._delivering = True
        if not self._over:
            self._bus.deliver(topic, data)
        self._delivering = False
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _end_orphaned(self) -> None:
        """Let the script clean up, briefly, and then kill the whole process group."""
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(ORPHAN_WAKE_SECS)
        os.kill(os.getpid(), WAKE_SIGNAL)
        threading.Event().wait(ORPHAN_GRACE_SECS)
        os.killpg(os.getpgrp(), signal.SIGKILL)
