"""This package supervises child processes that talk through pipes.

The names and roles are those of Pamela McA'Nulty's mptools, which the original Observation Execution Tool
used; the mechanism is another: one event loop waits on the pipes of all workers, no lock is shared between
processes, and messages are JSON.
"""

from ska_oso_oet.mptools.context import MainContext
from ska_oso_oet.mptools.descendants import describe, name_process, offer_to_oom_killer
from ska_oso_oet.mptools.exits import ExitStatus, Remains, Rung
from ska_oso_oet.mptools.message import EventMessage, MessageTooLarge, ProtocolError
from ska_oso_oet.mptools.ports import ProcListener
from ska_oso_oet.mptools.proc import Proc
from ska_oso_oet.mptools.program_end import ProgramEnd
from ska_oso_oet.mptools.queue import MPQueue, QueueClosed
from ska_oso_oet.mptools.signals import (
    WAKE_SIGNAL,
    ShutdownEvent,
    SignalObject,
    TerminateInterrupt,
    default_signal_handler,
    init_signals,
    install_handlers,
)
from ska_oso_oet.mptools.worker import (
    END,
    STARTED,
    ProcWorker,
    QueueProcWorker,
    StartupEvent,
    TimerProcWorker,
    proc_worker_wrapper,
)

__all__ = [
    "END",
    "STARTED",
    "WAKE_SIGNAL",
    "EventMessage",
    "ExitStatus",
    "MPQueue",
    "MainContext",
    "MessageTooLarge",
    "Proc",
    "ProcListener",
    "ProcWorker",
    "ProgramEnd",
    "ProtocolError",
    "QueueClosed",
    "QueueProcWorker",
    "Remains",
    "Rung",
    "ShutdownEvent",
    "SignalObject",
    "StartupEvent",
    "TerminateInterrupt",
    "TimerProcWorker",
    "default_signal_handler",
    "describe",
    "init_signals",
    "install_handlers",
    "name_process",
    "offer_to_oom_killer",
    "proc_worker_wrapper",
]
