"""POSIX signals in worker processes: a first one asks, a repeated one insists."""

from __future__ import annotations

import functools
import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[["SignalObject", type[BaseException], int, FrameType | None], None]


class ShutdownEvent:
    """A flag that asks a process to end, and that can be waited for beside sockets.

    It is a pipe rather than a lock, so that a signal handler may set it at any instant.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._set = False

    def fileno(self) -> int:
        """Descriptor that is readable once the end was asked for."""
        return self._reader

    def set(self) -> None:
        """Ask for the end."""
        if not self._set:
            self._set = True
            os.write(self._writer, b"x")

    def is_set(self) -> bool:
        """Tell whether the end was asked for."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the end was asked for, at most `timeout` seconds; tells whether it was."""
        return bool(select.select([self._reader], [], [], timeout)[0])

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._reader)
        os.close(self._writer)


class TerminateInterrupt(BaseException):
    """Raised in a worker's main thread when it must end; like KeyboardInterrupt, no ordinary error."""


class SignalObject:
    """The state that signal handlers of one process share."""

    MAX_TERMINATE_CALLED = 3

    def __init__(self, shutdown_event: ShutdownEvent) -> None:
        self.terminate_called = 0
        self.shutdown_event = shutdown_event


def default_signal_handler(
    signal_object: SignalObject,
    exception_class: type[BaseException],
    signal_num: int,
    current_stack_frame: FrameType | None,
) -> None:
    """Set the shutdown event; from the third call on, raise `exception_class` as well."""
    del signal_num, current_stack_frame
    signal_object.terminate_called += 1
    signal_object.shutdown_event.set()
    if signal_object.terminate_called >= SignalObject.MAX_TERMINATE_CALLED:
        raise exception_class


def init_signals(shutdown_event: ShutdownEvent, int_handler: Handler, term_handler: Handler) -> SignalObject:
    """Install handlers of SIGINT and SIGTERM; returns the state that they share."""
    signal_object = SignalObject(shutdown_event)
    signal.signal(signal.SIGINT, functools.partial(int_handler, signal_object, KeyboardInterrupt))
    signal.signal(signal.SIGTERM, functools.partial(term_handler, signal_object, TerminateInterrupt))
    return signal_object
