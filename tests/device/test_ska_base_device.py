from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tango
from tango import DevState

if TYPE_CHECKING:
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
