"""Watch waits for a value of an attribute, and loses none between looking and listening."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import tango

from ska_oso_oet.errors import WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ska_oso_oet.scripting.requests import Attribute
    from ska_oso_oet.scripting.subscriptions import EventObserver

# Seconds without an event after which the device is asked, first and at most: an event is lost most easily
# right after subscribing, when the channel is not open yet, and Tango never reports a lost last event.
SILENCE = 0.5
LONG_SILENCE = 10.0


class AttributeRead(Protocol):
    """Reads an attribute from its device, as DeviceProxy.read_attribute does: value and time."""

    def __call__(self, attribute: Attribute) -> tango.DeviceAttribute:
        """Return the present value; raises DevFailed."""


class Changes(Protocol):
    """Notifies observers of changes: a SubscriptionManager or a PollingManager."""

    def register_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Notify `observer` of changes of `attr` from now on."""

    def unregister_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Notify it no more."""


class TimeLimit:
    """The end of a wait, on the monotonic clock; `None` is for ever."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds until the end, 0 or more."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


class QuietWait:
    """How long to wait for an event before asking the device: ever longer, up to LONG_SILENCE."""

    def __init__(self) -> None:
        self._next = SILENCE

    def get(self, events: queue.SimpleQueue[Any], deadline: TimeLimit) -> Any:
        """Receive an event; raises queue.Empty when it is time to read the attribute, or to end the wait."""
        left = deadline.left()
        try:
            return events.get(timeout=self._next if left is None else min(left, self._next))
        except queue.Empty:
            self._next = min(2 * self._next, LONG_SILENCE)
            raise


class Watch:
    """The changes of one attribute since the watch was entered.

    Enter it before a command is sent: what the command causes is then seen, however quick::

        with executor.watch(Attribute(subarray, "obsState")) as changes:
            executor.execute(Command(subarray, "Scan", argument))
            changes.wait_for(lambda state: state == ObsState.SCANNING, timeout=5)
            changes.wait_for(lambda state: state == ObsState.READY, timeout=600)

    Change events that were under way when it was entered do not count as new ones: an event no younger
    than the newest reading counts only if the device still has a fitting value.
    """

    def __init__(self, attribute: Attribute, read: AttributeRead, changes: Changes) -> None:
        """Watch `attribute`, whose changes come from `changes`."""
        self.attribute = attribute
        self._device = read
        self._changes = changes
        self._events: queue.SimpleQueue[tango.EventData] = queue.SimpleQueue()
        self._initial: Any = None
        self._last: Any = None
        self._read_at = 0.0
        self._error = ""
        self._patience = QuietWait()

    @property
    def initial(self) -> Any:
        """The value on entering."""
        return self._initial

    def __enter__(self) -> Self:
        self._changes.register_observer(self.attribute, self)
        self._initial = self._last = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._changes.unregister_observer(self.attribute, self)

    def notify(self, evt: tango.EventData) -> None:
        """Receive an event."""
        self._events.put(evt)

    def wait_for(self, predicate: Callable[[Any], bool], timeout: float | None = None) -> Any:
        """Return the first value since entering, or since the last wait, that `predicate` accepts.

        `timeout` is in seconds, None for ever. Raises WaitTimeout. A device that is restarted meanwhile is
        waited for. A signal ends the wait at once when its handler raises.
        """
        deadline = TimeLimit(timeout)
        while True:
            for value in self._next_values(deadline, predicate):
                self._last = value
                if predicate(value):
                    return value
            if deadline.left() == 0:
                raise WaitTimeout(
                    f"{self.attribute} had no awaited value within {timeout:g} s: its last value was "
                    f"{self._last!r}{self._error}"
                )

    def _next_values(self, deadline: TimeLimit, predicate: Callable[[Any], bool]) -> list[Any]:
        """Wait for an event, or long enough to look without one; return the new value, if any."""
        try:
            event = self._patience.get(self._events, deadline)
        except queue.Empty:
            return self._reading()
        if event.err:  # the device is away, or back soon
            self._error = f"; its last error was: {event.errors[0].desc}"
            return []
        value = event.attr_value.value
        if value is None:  # of invalid quality
            return []
        if event.attr_value.time.totime() > self._read_at or not predicate(value):
            return [value]
        return self._reading()

    def _reading(self) -> list[Any]:
        """Read the device; return the value if it differs from the last one known."""
        try:
            value = self._read()
        except tango.DevFailed as error:
            self._error = f"; its last error was: {error.args[0].desc}"
            return []
        return [] if value is None or np.array_equal(value, self._last) else [value]

    def _read(self) -> Any:
        reading = self._device(self.attribute)
        self._read_at = reading.time.totime()
        return reading.value
