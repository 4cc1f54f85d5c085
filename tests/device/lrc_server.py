"""Runs lrc_device.py, and what tests do with its device from outside."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tango

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60.0
SERVER = Path(__file__).with_name("lrc_device.py")


@contextmanager
def serving(port: int) -> Iterator[str]:
    """Run the server; yields the URL of its devices up to the last part of their names."""
    names = "test/lrc/1,test/lrc/2"
    arguments = ["test", "-nodb", "-dlist", names, "-ORBendPoint", f"giop:tcp:127.0.0.1:{port}"]
    with subprocess.Popen(
        [sys.executable, str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "Ready to accept" in line:
                    break
            yield f"tango://127.0.0.1:{port}/test/lrc"
        finally:
            process.kill()


def set_to(device: str, *values: int) -> None:
    tango.DeviceProxy(device).Push(list(values))


def wait_for_events(device: str) -> None:
    """Wait until the subscriptions that this process has made so far carry events.

    A subscription returns before its events arrive. Subscriptions take effect in their order, so when a
    later one carries events, all of them do.
    """
    proxy = tango.DeviceProxy(device)
    arrived = threading.Event()
    first: list[int] = []

    def take(event: tango.EventData) -> None:
        if first and not event.err and event.attr_value.value >= first[0]:
            arrived.set()

    subscription = proxy.subscribe_event("beats", tango.EventType.CHANGE_EVENT, take)
    first.append(proxy.Beat())
    deadline = time.monotonic() + DEADLINE
    while not arrived.wait(0.05):
        proxy.Beat()  # what was sent before the channel was open is lost
        assert time.monotonic() < deadline, "no event arrives"
    proxy.unsubscribe_event(subscription)


def until(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the device tells nobody
