from __future__ import annotations

import json
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tango
from tango import DevState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import DeviceServers

DEVICE = Path(__file__).with_name("ska_test_device.py"), "SkaTestDevice"


def test_software_is_on_as_soon_as_it_is_online(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE)
    assert (device.state(), device.adminMode) == (DevState.DISABLE, 1)
    assert device.status() == "The device is in DISABLE state."
    device.adminMode = "ONLINE"
    assert (device.state(), device.adminMode) == (DevState.ON, 0)
    device.adminMode = "ENGINEERING"
    assert device.state() == DevState.ON
    device.adminMode = "OFFLINE"
    assert device.state() == DevState.DISABLE


def test_a_memorised_mode_brings_the_device_on_by_itself(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    assert (device.state(), device.adminMode) == (DevState.ON, 0)


def test_a_failed_initialisation_is_a_fault_that_says_why(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"FailInit": "true", "adminMode/__value": 0})
    assert device.state() == DevState.FAULT
    assert device.status() == (
        "The device is in FAULT state - init_device failed: ValueError: the property FailInit is true."
    )


def test_init_starts_again_without_leaving_threads(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    threads = sorted(device.Threads())
    for _ in range(20):
        [[code], [held]] = device.Hold()
        assert (code, device.CheckLongRunningCommandStatus(held)) == (1, "IN_PROGRESS")
        device.Init()
        assert (device.state(), device.adminMode, device.lrcFinished) == (DevState.ON, 0, ())
        assert device.CheckLongRunningCommandStatus(held) == "NOT_FOUND"
    # One thread of the client's connection may appear under another name each time.
    assert [name for name in sorted(device.Threads()) if "Dummy" not in name] == [
        name for name in threads if "Dummy" not in name
    ]


class Crowd:
    """Clients of one device on threads of their own, each with a connection of its own."""

    def __init__(self, device: tango.DeviceProxy) -> None:
        self._url = f"tango://{device.get_dev_host()}:{device.get_dev_port()}/{device.dev_name()}#dbase=no"
        self.faults: list[str] = []
        self.done = threading.Event()

    def start(self, work: Callable[[tango.DeviceProxy], None], number: int) -> list[threading.Thread]:
        threads = [threading.Thread(target=self._guarded, args=(work,)) for _ in range(number)]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, work: Callable[[tango.DeviceProxy], None]) -> None:
        with tango.EnsureOmniThread():
            try:
                work(tango.DeviceProxy(self._url))
            except tango.DevFailed as error:
                self.faults.append(str(error))

    def use(self, proxy: tango.DeviceProxy) -> None:
        while not self.done.is_set():
            [[code], [text]] = proxy.Quick()
            if code != 1 and "initialised" not in text:
                self.faults.append(text)
            self.faults.extend({proxy.status()} - {"The device is in ON state."})

    def init(self, proxy: tango.DeviceProxy) -> None:
        for _ in range(20):
            proxy.Init()


def test_init_may_come_from_several_clients_while_others_work(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    crowd = Crowd(device)
    workers = crowd.start(crowd.use, 3)
    for thread in crowd.start(crowd.init, 2):
        thread.join()
    crowd.done.set()
    for thread in workers:
        thread.join()
    assert crowd.faults == []
    assert device.state() == DevState.ON
    assert [name for name in device.Threads() if name == "event-pump"] == ["event-pump"]
    assert device_server.of(device).stop() == 0
    assert "Traceback" not in device_server.of(device).output


def test_events_outlast_a_request_that_blocks_the_device(
    device_server: DeviceServers, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    modes: queue.Queue[int] = queue.Queue()
    subscription = device.subscribe_event(
        "testMode", tango.EventType.CHANGE_EVENT, lambda event: modes.put(event.attr_value.value)
    )
    event_channel(device)
    device.set_timeout_millis(20_000)
    # Longer than the 3.2 s for which Tango waits for a device that is busy.
    device.Block(4.0)
    assert [modes.get(timeout=60) for _ in range(2)] == [0, 1]
    device.unsubscribe_event(subscription)


def test_a_fault_shows_its_message_until_reset(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    device.Fault(json.dumps("no fork server \u2620"))
    assert device.status() == "The device is in FAULT state - no fork server \\u2620."
    with pytest.raises(tango.DevFailed, match="Command On not allowed when the device is in FAULT state"):
        device.On()
    [[code], [command_id]] = device.Reset()
    assert (code, device.CheckLongRunningCommandStatus(command_id)) == (1, "COMPLETED")
    assert (device.state(), device.commandedState) == (DevState.ON, "ON")


def test_a_terminated_server_exits_by_itself(device_server: DeviceServers) -> None:
    device = device_server(*DEVICE, {"adminMode/__value": 0})
    device.Hold()
    assert device_server.of(device).stop() == 0
