"""PollingManager finds changes of attributes by reading, for a network that blocks Tango events."""

from __future__ import annotations

import functools
import threading
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import tango

from ska_oso_oet.scripting.proxies import ProxyCache, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.scripting.requests import Attribute
    from ska_oso_oet.scripting.subscriptions import EventObserver

POLL_INTERVAL = 0.1  # seconds


class PollingManager:
    """Stands in for a SubscriptionManager; its observers are notified of changes that readings show.

    A value that comes and goes between two readings is missed.
    """

    def __init__(self, proxies: ProxyCache) -> None:
        self._proxies = proxies
        self._stops: weakref.WeakKeyDictionary[EventObserver, threading.Event] = weakref.WeakKeyDictionary()

    def register_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Read `attr` for `observer`, until it is unregistered or forgotten."""
        proxy = self._proxies.get(attr.device)
        read = functools.partial(proxy.read_attribute, attr.name)
        present = call(read).value
        stop = self._stops[observer] = threading.Event()
        arguments = (read, present, weakref.ref(observer), stop)
        threading.Thread(target=_poll, args=arguments, name=f"poll {attr}", daemon=True).start()

    def unregister_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Let the readings of `attr` end."""
        del attr  # an observer has one attribute
        if (stop := self._stops.pop(observer, None)) is not None:
            stop.set()


def _poll(
    read: Callable[[], Any], last: Any, observer: weakref.ref[EventObserver], stop: threading.Event
) -> None:
    with tango.EnsureOmniThread():
        while not stop.wait(POLL_INTERVAL) and observer() is not None:
            try:
                reading = read()
            except tango.DevFailed as error:
                _notify(observer, SimpleNamespace(err=True, errors=error.args))
                continue
            if not np.array_equal(reading.value, last):
                last = reading.value
                _notify(observer, SimpleNamespace(err=False, attr_value=reading))


def _notify(observer: weakref.ref[EventObserver], event: SimpleNamespace) -> None:
    """Notify an observer that still exists; the reference must not keep it alive while nothing changes."""
    if (listening := observer()) is not None:
        listening.notify(event)
