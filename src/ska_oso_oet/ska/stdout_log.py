"""The log on stdout blocks nobody, even when its reader halts and the pipe is full."""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from typing import Final, TextIO

MAX_WAITING: Final = 10_000
"""Lines that wait for a reader that has halted; what comes then is counted, and left out."""
END_SECS: Final = 1.0
"""For which the end of the process waits for the reader."""


class StdoutHandler(logging.Handler):
    """Writes records on a thread of its own, which begins with the first and ends with `close`.

    `logging.shutdown` closes it when the process ends.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream
        self._wake = threading.Condition(threading.Lock())
        self._waiting: deque[str] = deque()
        self._writing = False
        self._lost = 0
        self._ending = False
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; it is written a moment later."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - the convention of logging handlers
            self.handleError(record)
            return
        with self._wake:
            if len(self._waiting) >= MAX_WAITING or self._ending:
                self._lost += 1
                return
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def flush(self) -> None:
        """Wait until all records are written, unless nobody reads them."""
        with self._wake:
            self._wake.wait_for(lambda: not self._waiting and not self._writing, END_SECS)

    def close(self) -> None:
        """End the thread; it is not waited for where nobody reads."""
        with self._wake:
            self._ending = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(END_SECS)
        super().close()

    def _run(self) -> None:
        while lines := self._next_lines():
            try:
                stream = self._stream or sys.stdout
                stream.write("".join(f"{line}\n" for line in lines))
                stream.flush()
            except (OSError, ValueError):  # its reader has gone, or it is closed: no way to report it
                continue

    def _next_lines(self) -> list[str]:
        """Wait for lines and return them; none means that the handler is closed."""
        with self._wake:
            self._writing = False
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._waiting or self._ending)
            lines = list(self._waiting)
            self._waiting.clear()
            self._writing = bool(lines)
            if self._lost and lines:
                lines.append(f"{self._lost} lines of the log are lost here: nobody read them in time")
                self._lost = 0
            return lines
