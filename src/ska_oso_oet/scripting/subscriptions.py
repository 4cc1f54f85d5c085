"""SubscriptionManager has one long-lived subscription to an attribute, and many observers of it."""

from __future__ import annotations

import logging
import threading
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

import tango

from ska_oso_oet.scripting.proxies import ProxyCache, TangoDeviceProxyFactory, begin

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.scripting.requests import Attribute

LOGGER = logging.getLogger(__name__)


class EventObserver(Protocol):
    """Whoever wants to see events."""

    def notify(self, evt: tango.EventData) -> None:
        """Receive an event, on a thread of Tango's. It must return soon: no other event arrives meanwhile."""


class Callback:
    """Distributes the events that it receives to the observers registered at that moment.

    Observers are held weakly: one that nobody else refers to any more is forgotten.
    """

    def __init__(self) -> None:
        self._observers: list[weakref.ref[EventObserver]] = []
        self._lock = threading.Lock()

    def __call__(self, evt: tango.EventData) -> None:
        """Receive an event from Tango."""
        self.notify_observers(evt)

    def register_observer(self, observer: EventObserver) -> None:
        """Let `observer` see all later events; registering twice is the same as once."""
        with self._lock:
            known = [ref for ref in self._observers if ref() is not None]
            if not any(ref() is observer for ref in known):
                known.append(weakref.ref(observer))
            self._observers = known

    def unregister_observer(self, observer: EventObserver) -> None:
        """Let `observer` see no later event."""
        with self._lock:
            self._observers = [ref for ref in self._observers if ref() not in (None, observer)]

    def notify_observers(self, evt: tango.EventData) -> None:
        """Distribute an event; an observer that raises does not keep it from the others."""
        for ref in self._observers:
            observer = ref()
            if observer is None:
                continue
            try:
                observer.notify(evt)
            except Exception:  # the edge of Tango's thread: it has nobody to raise to
                LOGGER.exception("an observer failed on an event of %s", evt.attr_name)


class _Subscription:
    """The one Tango subscription of an attribute."""

    def __init__(self) -> None:
        self.callback = Callback()
        self.made: Future[int] = Future()


class SubscriptionManager:
    """Stands between scripts and Tango subscriptions, so that these are few and long-lived.

    The first observer of an attribute causes a subscription, which lives until the interpreter exits;
    observers come and go. Only the first observer is sure to be sent the present value: the others see what
    comes later.
    """

    def __init__(self, proxy_factory: Callable[[str], Any] | None = None) -> None:
        self._proxies = ProxyCache(proxy_factory or TangoDeviceProxyFactory())
        self._lock = threading.Lock()
        self._subscriptions: dict[str, _Subscription] = {}

    def register_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Let `observer` see the events of `attr` from now on.

        Raises DevFailed when the attribute does not exist or pushes no change events.
        """
        key = str(attr).lower()
        with self._lock:
            subscription = self._subscriptions.get(key)
            first = subscription is None
            if subscription is None:
                subscription = self._subscriptions[key] = _Subscription()
        subscription.callback.register_observer(observer)
        if first:
            begin(self._subscribe, attr, subscription)
        subscription.made.result()

    def unregister_observer(self, attr: Attribute, observer: EventObserver) -> None:
        """Let `observer` see no more events of `attr`; the subscription stays."""
        with self._lock:
            subscription = self._subscriptions.get(str(attr).lower())
        if subscription is not None:
            subscription.callback.unregister_observer(observer)

    def _subscribe(self, attr: Attribute, subscription: _Subscription) -> None:
        """Subscribe, on a thread of its own, so that a stop of the script does not leave it half done."""
        try:
            proxy = self._proxies.get(attr.device)
            identifier = proxy.subscribe_event(attr.name, tango.EventType.CHANGE_EVENT, subscription.callback)
        except BaseException as error:  # noqa: BLE001 - raised in each thread that waits for the subscription
            with self._lock:
                del self._subscriptions[str(attr).lower()]
            subscription.made.set_exception(error)
        else:
            subscription.made.set_result(identifier)
