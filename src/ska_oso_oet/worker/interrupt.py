"""An Interrupt brings a stop to a script, wherever it is."""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ska_oso_oet.mptools import WAKE_SIGNAL, TerminateInterrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupt:
    """Raises TerminateInterrupt in the main thread, once, so that `finally` blocks run to their end.

    Where an event loop runs, the interrupt is what Ctrl-C is there: asyncio.Runner, and so asyncio.run,
    cancels the main task; out of another loop it is raised between two steps. In a task it would end that one
    alone, and a task group would raise it again while the others clean up. A loop that has not turned by the
    time that the wake signal comes is interrupted where it stands.
    """

    def __init__(self, on_arrival: Callable[[], None]) -> None:
        self.came = False
        """True once the end was asked for."""
        self.handlers = {
            # As in any Python program: with another one, asyncio.Runner would not prepare for Ctrl-C.
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: self.arrive,
            WAKE_SIGNAL: self.insist,
        }
        """What is to be done with the signals that concern a script."""
        self._on_arrival = on_arrival
        self._due = False
        self._insisted = False
        self._held = False
        self._reported = False

    def arrive(self, *_: object) -> None:
        """Interrupt what is being done, unless that has happened before (a signal handler)."""
        self._on_arrival()
        if not self.came:
            self.came = self._due = True
            self._pass_on()

    def insist(self, *_: object) -> None:
        """Interrupt now what was not interrupted yet (a signal handler)."""
        self._insisted = self.came
        self._raise_if_due()

    def over(self) -> None:
        """Raise nothing from now on: the script has ended."""
        self.came = True
        self._due = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Do something that an interrupt would spoil; one that comes meanwhile is raised afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before, self._held = self._held, True  # a handler of the script's own may do it in the midst of it
        try:
            yield
        finally:
            self._held = before
        self._pass_on()

    def _pass_on(self) -> None:
        if not self._due or self._held:
            return
        loop = None if self._insisted else _running_loop()
        if loop is None:
            self._raise_if_due()
        elif not self._reported:
            self._reported = True
            self._interrupt_loop(loop)

    def _interrupt_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        cancel = _cancellation()
        if cancel is None:
            loop.call_soon_threadsafe(self._raise_if_due)
        else:
            # Noted before the main task has its turn, and begins to clean up.
            loop.call_soon_threadsafe(self._note_that_the_loop_turns)
            cancel()

    def _note_that_the_loop_turns(self) -> None:
        self._due = False

    def _raise_if_due(self) -> None:
        if self._due and not self._held:
            self._due = False
            raise TerminateInterrupt


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _cancellation() -> Callable[[], object] | None:
    """Find what asyncio.Runner has prepared for Ctrl-C: the first one cancels the main task."""
    handler = signal.getsignal(signal.SIGINT)
    if isinstance(handler, functools.partial) and isinstance(
        getattr(handler.func, "__self__", None), asyncio.Runner
    ):
        return functools.partial(handler, signal.SIGINT, None)
    return None
