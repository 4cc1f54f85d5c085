"""TangoExecutor sends the commands of a script to Tango devices, and waits for what they report."""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING, Any

from ska_oso_oet.errors import Rejected, WaitTimeout
from ska_oso_oet.features import Features
from ska_oso_oet.scripting.enumerations import Enumerations
from ska_oso_oet.scripting.long_running import LongRunningCommand, LongRunningCommandExecutor
from ska_oso_oet.scripting.polling import PollingManager
from ska_oso_oet.scripting.proxies import ProxyCache, TangoDeviceProxyFactory, call
from ska_oso_oet.scripting.subscriptions import SubscriptionManager
from ska_oso_oet.scripting.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    import tango

    from ska_oso_oet.scripting.requests import Attribute, Command

LOGGER = logging.getLogger(__name__)


class SingleQueueEventStrategy:
    """Puts the events of one attribute at a time into one queue, for read_event()."""

    def __init__(self, mgr: SubscriptionManager) -> None:
        """Observe events of `mgr`."""
        self._manager = mgr
        self._events: queue.SimpleQueue[tango.EventData] = queue.SimpleQueue()
        self._subscribed: Attribute | None = None
        self._subscription_id = 0

    def notify(self, evt: tango.EventData) -> None:
        """Receive an event from the SubscriptionManager."""
        self._events.put(evt)

    def read_event(self, attr: Attribute, timeout: float | None = None) -> tango.EventData:
        """Return the next event; blocks until there is one or, raising WaitTimeout, `timeout` s have passed.

        With a single subscription active at any one time, the attribute only serves the message. An event may
        report an error (`evt.err`).
        """
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            raise WaitTimeout(f"{attr} sent no event within {timeout:g} s") from None

    def subscribe_event(self, attr: Attribute) -> int:
        """Subscribe to the change events of `attr` and return an identifier for unsubscribe_event().

        Raises Rejected when another subscription is active, DevFailed when the attribute pushes no events.
        """
        if self._subscribed is not None:
            raise Rejected(f"cannot subscribe to {attr}: {self._subscribed} is still subscribed to")
        self._events = queue.SimpleQueue()  # what came late for an earlier subscription is not for this one
        self._subscribed = attr
        try:
            self._manager.register_observer(attr, self)
        except BaseException:
            self._release(attr)
            raise
        self._subscription_id += 1
        return self._subscription_id

    def unsubscribe_event(self, attr: Attribute, subscription_id: int) -> None:
        """End the subscription; raises Rejected when it is not the active one."""
        if attr != self._subscribed or subscription_id != self._subscription_id:
            raise Rejected(f"no active subscription {subscription_id} to {attr}")
        self._release(attr)

    def _release(self, attr: Attribute) -> None:
        self._subscribed = None
        self._manager.unregister_observer(attr, self)


class TangoExecutor:
    """The proxy between scripts and Tango devices."""

    SingleQueueEventStrategy = SingleQueueEventStrategy

    def __init__(
        self, proxy_factory: Callable[[str], Any] | None = None, features: Features | None = None
    ) -> None:
        """Create an executor.

        `proxy_factory` returns an object that conforms to the DeviceProxy interface (default:
        TangoDeviceProxyFactory()); `features` default to those of the deployment.
        """
        factory = proxy_factory or TangoDeviceProxyFactory()
        self._features = features or Features.create_from_config_files()
        self._proxies = ProxyCache(factory)
        self._enumerations = Enumerations(self._proxies)
        self._manager = SubscriptionManager(factory)
        self._events = SingleQueueEventStrategy(self._manager)
        by_events = self._features.use_pubsub_to_read_tango_attributes
        self._changes = self._manager if by_events else PollingManager(self._proxies)

    def execute(self, command: Command, **kwargs: Any) -> Any:
        """Execute a command on its device and return the device's response, if any.

        `kwargs` go to DeviceProxy.command_inout. Raises DevFailed, the device's own error.
        """
        LOGGER.debug("executing %r", command)
        proxy = self._proxies.get(command.device)
        return call(proxy.command_inout, command.command_name, *command.argument, **command.kwargs, **kwargs)

    def read(self, attribute: Attribute) -> Any:
        """Read an attribute; the value of an enumerated one is a member of an IntEnum. Raises DevFailed."""
        return self._enumerations.value(attribute, self._read(attribute))

    def subscribe_event(self, attribute: Attribute) -> int:
        """Subscribe to the change events of `attribute`; see SingleQueueEventStrategy."""
        return self._events.subscribe_event(attribute)

    def read_event(self, attr: Attribute, timeout: float | None = None) -> tango.EventData:
        """Get the next event of the active subscription; raises WaitTimeout after `timeout` seconds."""
        return self._events.read_event(attr, timeout)

    def unsubscribe_event(self, attribute: Attribute, event_id: int) -> None:
        """End the active subscription, which subscribe_event() returned `event_id` for."""
        self._events.unsubscribe_event(attribute, event_id)

    def watch(self, attribute: Attribute) -> Watch:
        """Collect the changes of an attribute, to be waited for after a command has been sent; see Watch."""
        return Watch(attribute, self._read, self._changes)

    def wait_for(
        self, attribute: Attribute, predicate: Callable[[Any], bool], timeout: float | None = None
    ) -> Any:
        """Return the value of `attribute` as soon as `predicate` accepts it; it may do so already.

        A value that comes between reading and listening is not lost. `timeout` is in seconds, None for ever;
        raises WaitTimeout, or DevFailed when the attribute cannot be read at the beginning.
        """
        with self.watch(attribute) as changes:
            if predicate(changes.initial):
                return changes.initial
            return changes.wait_for(predicate, timeout)

    def execute_lrc(
        self,
        command: Command,
        *,
        timeout: float | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> LongRunningCommand:
        """Run a long running command of an SKA device to its end and return its outcome.

        `on_progress` is called, on this thread, with each new progress (0-100). When the script is stopped,
        or `on_progress` raises, the device is asked to Abort before the exception goes on. Raises Rejected
        when the device refuses, CommandFailed when it did not succeed, WaitTimeout after `timeout` seconds
        (the command is then left running) and DevFailed, the device's own error.
        """
        LOGGER.debug("executing long running %r", command)
        proxy = self._proxies.get(command.device)
        run = LongRunningCommandExecutor(
            command, proxy, self._manager, use_lrc_event=self._features.use_lrc_event
        )
        return run.run(timeout, on_progress)

    def _read(self, attribute: Attribute) -> tango.DeviceAttribute:
        return call(self._proxies.get(attribute.device).read_attribute, attribute.name)
