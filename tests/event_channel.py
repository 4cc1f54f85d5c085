"""Waiting until Tango events arrive, which is later than the return of the subscription to them."""

from __future__ import annotations

import threading
import time

import tango

DEADLINE = 60.0


def wait_for_events(device: tango.DeviceProxy, attribute: str) -> None:
    """Wait until the subscriptions that this process has made to a server so far carry events.

    What a device pushes before that is lost. Subscriptions take effect in their order, so when a later one
    carries events, all of them do. The later one is for the configuration of `attribute`, which is written
    as it is.
    """
    present, changed = threading.Event(), threading.Event()

    def take(event: tango.AttrConfEventData) -> None:
        # The first one tells the present configuration, which needs no channel.
        (changed if present.is_set() else present).set()

    probe = device.subscribe_event(attribute, tango.EventType.ATTR_CONF_EVENT, take)
    assert present.wait(DEADLINE)
    deadline = time.monotonic() + DEADLINE
    while not changed.is_set():
        assert time.monotonic() < deadline, "no event arrives"
        device.set_attribute_config(device.get_attribute_config(attribute))
        changed.wait(0.1)
    device.unsubscribe_event(probe)
