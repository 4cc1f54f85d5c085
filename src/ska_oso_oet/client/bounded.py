"""Bounds in time are set here for what has none: connecting to a halted server, and closing what hangs."""

from __future__ import annotations

import queue
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ska_oso_oet.errors import ControllerUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.inbox import Connection, Deadline

Answer = TypeVar("Answer")

LAST_QUESTION: Final = 1.0
"""Seconds for a reply that is asked for when the time is over: how things stand at the end."""


def within(seconds: float, work: Callable[[], Answer]) -> Answer:
    """Do something on a thread of its own; raises TimeoutError after `seconds`, and lets it go on then.

    Tango's own timeouts begin once it is connected: with a halted server or database that takes some 10 s.
    The end of the interpreter waits for that: Tango crashes when it is unloaded in the middle of it.
    """
    outcomes: queue.SimpleQueue[Callable[[], Answer]] = queue.SimpleQueue()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            outcomes.put(partial(_raise, error))
        else:
            outcomes.put(lambda: result)

    threading.Thread(target=run, name="oet-bounded").start()
    try:
        outcome = outcomes.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"not done within {seconds:g} s") from None
    return outcome()


def _raise(error: BaseException) -> Any:
    raise error


def in_time(question: Callable[[], Answer], deadline: Deadline, uri: str) -> Answer:
    """Ask a controller; raises ControllerUnreachable, which names its `uri`, after a deadline."""
    remaining = deadline.remaining
    if remaining is None:
        return question()
    try:
        return within(remaining or LAST_QUESTION, question)
    except TimeoutError:
        raise ControllerUnreachable(f"cannot reach {uri}: no answer within {deadline.timeout:g} s") from None


class Bounded:
    """A Connection whose every reply comes before a deadline, or is ControllerUnreachable."""

    def __init__(self, link: Connection, deadline: Deadline) -> None:
        self._link = link
        self.deadline = deadline

    def __getattr__(self, name: str) -> Any:
        """Be the connection in everything else."""
        return getattr(self._link, name)

    def command(self, name: str, argument: object = None) -> Any:
        """Call a command of the device."""
        return self._ask(partial(self._link.command, name, argument))

    def read(self, attribute: str) -> Any:
        """Read an attribute."""
        return self._ask(partial(self._link.read, attribute))

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        """Hand each change of an attribute to `deliver`."""
        return self._ask(partial(self._link.subscribe, attribute, deliver))

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        return in_time(question, self.deadline, self._link.uri)
