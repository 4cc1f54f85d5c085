"""Worker processes handle POSIX signals here: the first one asks them to end, a repeated one insists."""

from __future__ import annotations

import functools
import os
import select
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[["SignalObject", type[BaseException], int, FrameType | None], None]

WAKE_SIGNAL: Final = signal.SIGURG
"""Sent a moment after the signal that asks for the end, which Python misses if it comes just before a system
call, until that returns. It is another one, so that a script's own handler is called once for each stop."""


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
        """Return whether the end was asked for."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the end was asked for, at most `timeout` seconds; returns whether it was."""
        return bool(select.select([self._reader], [], [], timeout)[0])

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._reader)
        os.close(self._writer)


class TerminateInterrupt(KeyboardInterrupt):
    """Raised in a worker's main thread when it must end.

    A KeyboardInterrupt, as event loops let that pass, and scripts that expect Ctrl-C are prepared for it.
    """


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


_PLAIN: Final[dict[signal.Signals, Any]] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    WAKE_SIGNAL: signal.SIG_DFL,
}


def init_signals(shutdown_event: ShutdownEvent, int_handler: Handler, term_handler: Handler) -> SignalObject:
    """Install handlers of SIGINT and SIGTERM; returns the state that they share."""
    signal_object = SignalObject(shutdown_event)
    install_handlers(
        {
            signal.SIGINT: functools.partial(int_handler, signal_object, KeyboardInterrupt),
            signal.SIGTERM: functools.partial(term_handler, signal_object, TerminateInterrupt),
            WAKE_SIGNAL: lambda *_: None,
        }
    )
    return signal_object


def install_handlers(handlers: dict[signal.Signals, Any]) -> None:
    """Install handlers of SIGINT, SIGTERM and the wake signal.

    Processes that this one forks do not have them: there, the signals do what they do in any Python program.
    """
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    _keep_from_children(handlers)


def _keep_from_children(handlers: dict[signal.Signals, Any]) -> None:
    """Have a forked process begin without these handlers.

    The signals are blocked for the moment of the fork: one that a child received before would be lost in it.
    """
    here = threading.local()

    def block() -> None:
        here.mask = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, here.mask)

    def begin() -> None:
        _remove(handlers)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=begin)


def _remove(handlers: dict[signal.Signals, Any]) -> None:
    for signum, handler in handlers.items():
        if signal.getsignal(signum) is handler:
            signal.signal(signum, _PLAIN[signum])
