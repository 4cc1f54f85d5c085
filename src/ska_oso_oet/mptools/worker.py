"""ProcWorker is the child's side of a supervised process: a template for code in a process of its own."""

from __future__ import annotations

import functools
import importlib
import logging
import logging.config
import sys
from queue import Empty
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from ska_oso_oet.mptools.message import MAX_WORD, EventMessage
from ska_oso_oet.mptools.queue import MPQueue, QueueClosed
from ska_oso_oet.mptools.signals import (
    ShutdownEvent,
    SignalObject,
    default_signal_handler,
    init_signals,
)
from ska_oso_oet.mptools.stdio import make_output_prompt

if TYPE_CHECKING:
    import socket
    from types import FrameType

END = "END"
"""Type of the message that asks a worker to end once it has done what came before."""
STARTED = "STARTED"
"""Type of the message that reports to the parent that a worker's startup is complete."""


class StartupEvent:
    """Tells the parent, through the worker's outbox, that startup is complete."""

    def __init__(self, name: str, event_q: MPQueue) -> None:
        self._message = EventMessage(name, STARTED)
        self._event_q = event_q
        self._set = False

    def set(self) -> None:
        """Send the word, once."""
        if not self._set:
            self._set = True
            self._event_q.put(self._message)

    def is_set(self) -> bool:
        """Return whether the word was sent."""
        return self._set


class ProcWorker:
    """Template for code that runs in a child process: signals, startup, main loop, shutdown.

    Subclasses override `startup`, `main_loop` and `shutdown`. They are named by their import path when the
    process is made, so they must be importable; their arguments must be JSON. One with `takes_work_q` gets
    its inbox as first argument after the outbox.
    """

    takes_work_q: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        startup_event: StartupEvent,
        shutdown_event: ShutdownEvent,
        event_q: MPQueue,
        *args: Any,
        logging_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = name
        self.log = logging.getLogger(f"{type(self).__name__}[{name}]")
        self.startup_event = startup_event
        self.shutdown_event = shutdown_event
        self.event_q = event_q
        self.terminate_called = 0
        self.exit_code = 0
        if logging_config:
            logging.config.dictConfig(logging_config)
        self.init_args(*args, **kwargs)

    def init_args(self, *args: Any, **kwargs: Any) -> None:
        """Receive the other arguments of the worker; a worker that expects none refuses them."""
        if args or kwargs:
            raise ValueError(f"{type(self).__name__} takes no further arguments: {args} {kwargs}")

    def init_signals(self) -> SignalObject:
        """Install this worker's handlers of SIGINT and SIGTERM."""
        return init_signals(self.shutdown_event, self.int_handler, self.term_handler)

    @staticmethod
    def int_handler(
        signal_object: SignalObject,
        exception_class: type[BaseException],
        signal_num: int,
        current_stack_frame: FrameType | None,
    ) -> None:
        """Ask for a co-operative end; raise from the third signal on."""
        default_signal_handler(signal_object, exception_class, signal_num, current_stack_frame)

    @staticmethod
    def term_handler(
        signal_object: SignalObject,
        exception_class: type[BaseException],
        signal_num: int,
        current_stack_frame: FrameType | None,
    ) -> None:
        """Ask for a co-operative end; raise from the third signal on."""
        default_signal_handler(signal_object, exception_class, signal_num, current_stack_frame)

    def startup(self) -> None:
        """Prepare, before the parent hears that startup is complete."""

    def main_loop(self) -> None:
        """Do the work; returning ends the process."""

    def shutdown(self) -> None:
        """Clean up, however the main loop ended."""

    def run(self) -> int:
        """Run the template; returns the process's exit code, `exit_code` when the main loop returned."""
        self.init_signals()
        try:
            self.startup()
            self.startup_event.set()
            self.main_loop()
        except KeyboardInterrupt:
            self.log.warning("%s was interrupted", self.name)
            return 1
        except Exception:
            # The boundary of this process: what was not foreseen becomes a log record and an exit code.
            self.log.exception("%s failed", self.name)
            return 1
        finally:
            self.shutdown()
        return self.exit_code


class QueueProcWorker(ProcWorker):
    """A worker that calls `main_func` with every message of its work queue."""

    takes_work_q = True

    def init_args(self, work_q: MPQueue, *args: Any, **kwargs: Any) -> None:
        """Receive the work queue; the other arguments are the subclass's."""
        self.work_q = work_q
        super().init_args(*args, **kwargs)

    def main_loop(self) -> None:
        """Deliver messages until END arrives, the parent is gone or shutdown was asked for."""
        while not self.shutdown_event.is_set():
            try:
                item = self.work_q.get(unless=self.shutdown_event)
            except (QueueClosed, Empty):
                return
            if item.msg_type == END:
                return
            self.main_func(item)

    def main_func(self, item: EventMessage) -> None:
        """Handle one message."""
        raise NotImplementedError


class TimerProcWorker(ProcWorker):
    """A worker that calls `main_func` on a fixed cadence."""

    INTERVAL_SECS: ClassVar[float] = 10.0

    def main_loop(self) -> None:
        """Call `main_func` each INTERVAL_SECS, skipping beats that are late, until shutdown."""
        beat = monotonic()
        while not self.shutdown_event.is_set():
            self.main_func()
            beat = max(beat + self.INTERVAL_SECS, monotonic())
            self.shutdown_event.wait(max(0.0, beat - monotonic()))

    def main_func(self) -> None:
        """Do what is due at each beat."""
        raise NotImplementedError


def proc_worker_wrapper(
    proc_worker_class: type[ProcWorker],
    name: str,
    channel: socket.socket,
    args: list[Any],
    kwargs: dict[str, Any],
) -> int:
    """Make and run a worker in this process; `channel` carries its inbox and its outbox."""
    make_output_prompt()
    event_q = MPQueue(writer=channel, limit=MAX_WORD)
    if proc_worker_class.takes_work_q:
        args = [MPQueue(reader=channel), *args]
    make = functools.partial(
        proc_worker_class, name, StartupEvent(name, event_q), ShutdownEvent(), event_q, *args, **kwargs
    )
    return make().run()


def resolve(path: str) -> type[ProcWorker]:
    """Import the worker class that `path`, `package.module:Class`, names."""
    module, _, name = path.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, ProcWorker)):
        raise TypeError(f"{path} is no ProcWorker")
    return found


def run_child(request: dict[str, Any], channel: socket.socket) -> int:
    """Run the worker that a request of the fork server describes; returns the exit code."""
    try:
        sys.path[:] = request["sys_path"]
        code = proc_worker_wrapper(
            resolve(request["target"]), request["name"], channel, request["args"], request["kwargs"]
        )
    except Exception:
        # The boundary of this process.
        logging.getLogger(__name__).exception("worker %s could not start", request.get("name"))
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
