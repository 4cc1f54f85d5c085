"""Outbox makes calls back from many threads, in order and without a lock held."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Outbox:
    """Payloads on their way to `send`, which gets them one at a time in the order they were put.

    `put` never calls `send`, so it may be used with a lock held; `deliver` may not.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()
        self._delivering = False

    def put(self, payload: dict[str, Any]) -> None:
        """Add `payload` to what the next `deliver` hands out."""
        with self._lock:
            self._waiting.append(payload)

    def deliver(self) -> None:
        """Hand out what waits. A thread that finds another at it, or itself, leaves its part to that one."""
        while True:
            with self._lock:
                if self._delivering or not self._waiting:
                    return
                self._delivering = True
                payload = self._waiting.popleft()
            try:
                self._send(payload)
            finally:
                with self._lock:
                    self._delivering = False
