"""Workers for the tests of mptools; they are named by their import path, with this directory on sys.path."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from ska_oso_oet.mptools import EventMessage, ProcWorker, QueueProcWorker, TimerProcWorker


class Reporter(ProcWorker):
    """Says which of its methods are called, and with what it was made."""

    def init_args(self, *args: Any, **kwargs: Any) -> None:
        self.given = {"args": list(args), "kwargs": kwargs}

    def say(self, word: str, content: Any = None) -> None:
        self.event_q.put(EventMessage(self.name, word, content))

    def startup(self) -> None:
        self.say("startup", self.given)

    def main_loop(self) -> None:
        self.say("main_loop", os.getpid())

    def shutdown(self) -> None:
        self.say("shutdown")


class Waiting(Reporter):
    """Waits for the shutdown event."""

    def main_loop(self) -> None:
        self.say("here", os.getpid())
        self.shutdown_event.wait()
        self.say("asked to end")


class Deaf(Reporter):
    """Waits whatever it is asked."""

    def main_loop(self) -> None:
        self.say("here", os.getpid())
        while True:
            time.sleep(60)


class FailsToStart(Reporter):
    """Raises before it is up."""

    def startup(self) -> None:
        raise ValueError("no startup")


class Fails(Reporter):
    """Raises in its main loop."""

    def main_loop(self) -> None:
        raise ValueError("no main loop")


class Doubler(QueueProcWorker):
    """Answers each message with twice its content."""

    def main_func(self, item: EventMessage) -> None:
        self.event_q.put(EventMessage(self.name, "answer", item.msg * 2))

    def shutdown(self) -> None:
        self.event_q.put(EventMessage(self.name, "shutdown"))


class Ticking(TimerProcWorker):
    """Says each beat."""

    INTERVAL_SECS = 0.01

    def main_func(self) -> None:
        self.event_q.put(EventMessage(self.name, "beat"))


class Mask(Reporter):
    """Says which signals are blocked and ignored."""

    def main_loop(self) -> None:
        blocked = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        ignored = [n for n in range(1, 32) if signal.getsignal(n) is signal.SIG_IGN]
        self.say("signals", {"blocked": blocked, "ignored": ignored})


class NoWorker:
    """Is no worker at all."""
