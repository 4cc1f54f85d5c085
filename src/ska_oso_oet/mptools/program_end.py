"""A program is ended here as the interpreter ends it, but in time."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import signal
import sys
import threading
import traceback
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_AT_ONCE: Final = 0.001
_write_c_streams: Final = ctypes.CDLL(None).fflush
_FILES: Final = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


class OutOfTime(BaseException):
    """Raised in the main thread, into what has not ended in time."""


class ProgramEnd:
    """Does what Python does when a program is over, step by step, and leaves a step when the time is up.

    It waits for threads, calls the functions of atexit (weakref.finalize and multiprocessing are among them),
    drops the program's objects and writes the buffers of its files. The process then ends by os._exit, as the
    interpreter's own way is not for a forked process: it needs 40 ms to clear away what was imported, and
    Tango's ORB holds it up as long as a call has not returned.

    For the main thread; it replaces the handler of SIGALRM. `last_secs` is what each further step, or
    function of atexit, may take once the time is up.
    """

    def __init__(self, last_secs: float = 0.5) -> None:
        self.last_secs = last_secs
        self.overdue: list[str] = []
        """What had not ended when the time was up."""
        self._deadline = float("inf")
        self._running = False
        self._step: str | None = None

    def limit(self, seconds: float) -> None:
        """Let it last no longer than `seconds` from now; also while it runs, from a handler of a signal."""
        self._deadline = min(self._deadline, monotonic() + seconds)
        if self._running:
            self._set_alarm()

    def run(self, modules: Iterable[str], *, alone: Callable[[], bool]) -> None:
        """End the program that these modules are.

        Its objects are dropped only if it is `alone`: a thread of it would fail without them.
        """
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        self._running = True
        self._set_alarm()
        self._run_step("", _wait_for_threads)
        self.overdue += [f"thread {thread.name}" for thread in _threads()]
        self._run_step("a function of atexit", _call_exit_functions)
        self._run_step("writing its files", _write_files)
        if alone():
            self._run_step("the end of its objects", lambda: _drop(modules))
            self._run_step("writing its files", _write_files)
        self._running = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _set_alarm(self) -> None:
        if self._deadline != float("inf"):
            left = max(_AT_ONCE, self._deadline - monotonic())
            signal.setitimer(signal.ITIMER_REAL, left, max(_AT_ONCE, self.last_secs))

    def _on_alarm(self, *_: object) -> None:
        if self._step is None:
            return  # between two of them; it comes again
        if self._step:
            self.overdue.append(self._step)
        raise OutOfTime("it is left alone, as it has not ended in time")

    def _run_step(self, step: str, function: Callable[[], object]) -> None:
        with contextlib.suppress(OutOfTime):
            try:
                self._step = step
                function()
            except OutOfTime:
                raise
            except BaseException:  # noqa: BLE001 - the end of a program does not depend on what its parts raise
                traceback.print_exc()
            finally:
                self._step = None
        self._step = None


def _threads() -> list[threading.Thread]:
    """List the threads that a program waits for at its end."""
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]


def _wait_for_threads() -> None:
    # What the interpreter calls, and multiprocessing: executors hook in here.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001


def _call_exit_functions() -> None:
    # What the interpreter calls, too: each is called, whatever the others raise.
    atexit._run_exitfuncs()  # noqa: SLF001


def _drop(modules: Iterable[str]) -> None:
    """Let go of a program's modules, so that what they alone have is finalized while all of it is there."""
    for name in modules:
        sys.modules.pop(name, None)
    gc.collect()


def _write_files() -> None:
    for thing in gc.get_objects():
        if isinstance(thing, _FILES) and not thing.closed:
            with contextlib.suppress(OSError, ValueError):  # a full disk; a file that is only for reading
                thing.flush()
    _write_c_streams(None)
