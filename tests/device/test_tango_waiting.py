from __future__ import annotations

import threading
from configparser import ConfigParser
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.errors import WaitTimeout
from ska_oso_oet.features import Features
from ska_oso_oet.tango import (
    Attribute,
    TangoExecutor,
)
from tests.device.lrc_server import DEADLINE, serving, set_to, until, wait_for_events
from tests.reserved_port import reserved_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reserved_port() as port, serving(port) as served:
        yield served


@pytest.fixture
def device(url: str) -> str:
    return f"{url}/2#dbase=no"


@pytest.fixture
def executor() -> TangoExecutor:
    return TangoExecutor()


def polling() -> Features:
    return Features(ConfigParser(), {"OET_READ_VIA_PUBSUB": "false"})


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_a_value_that_is_there(features: Features | None, device: str) -> None:
    set_to(device, 5)
    assert (
        TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 5, DEADLINE) == 5
    )


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_a_value_to_come(features: Features | None, device: str) -> None:
    set_to(device, 0)
    tango.DeviceProxy(device).PushLater(9)
    assert (
        TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 9, DEADLINE) == 9
    )


def test_a_value_that_no_event_told_of_is_found(executor: TangoExecutor, device: str) -> None:
    set_to(device, 0)
    with executor.watch(Attribute(device, "value")) as changes:
        tango.DeviceProxy(device).SetQuietly(3)
        assert changes.wait_for(lambda v: v == 3, DEADLINE) == 3


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_ends_after_its_timeout(features: Features | None, device: str) -> None:
    set_to(device, 4)
    with pytest.raises(WaitTimeout, match=r"within 0\.3 s: its last value was 4"):
        TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 5, 0.3)


def test_polling_sees_what_passes_while_another_is_waited_for(device: str) -> None:
    set_to(device, 0)
    executor = TangoExecutor(features=polling())
    with executor.watch(Attribute(device, "value")) as changes:
        for value in (1, 0):
            tango.DeviceProxy(device).PushLater(value)
            executor.wait_for(Attribute(device, "silent"), value.__eq__, DEADLINE)
            read = readings(device)
            until(lambda: readings(device) >= read + 2)  # noqa: B023 - called at once
        assert changes.wait_for(lambda v: v == 1, DEADLINE) == 1
        assert changes.wait_for(lambda v: v == 0, DEADLINE) == 0


def test_the_end_of_a_watch_ends_the_readings(device: str) -> None:
    set_to(device, 0)
    with TangoExecutor(features=polling()).watch(Attribute(device, "value")):
        polls = [thread for thread in threading.enumerate() if thread.name.startswith("poll")]
    assert len(polls) == 1
    polls[0].join(DEADLINE)
    assert not polls[0].is_alive()


def test_polling_needs_no_events(device: str) -> None:
    set_to(device, 6)
    executor = TangoExecutor(features=polling())
    assert executor.wait_for(Attribute(device, "silent"), lambda v: v == 6, DEADLINE) == 6


def test_a_watch_sees_values_that_passed_before_it_was_asked(executor: TangoExecutor, device: str) -> None:
    set_to(device, 0)
    with executor.watch(Attribute(device, "value")) as changes:
        wait_for_events(device)
        set_to(device, 1, 2, 0)
        assert changes.initial == 0
        assert changes.wait_for(lambda v: v == 1, DEADLINE) == 1
        assert changes.wait_for(lambda v: v == 2, DEADLINE) == 2
        assert changes.wait_for(lambda v: v == 0, DEADLINE) == 0


def test_a_late_event_is_not_a_new_value(executor: TangoExecutor, device: str) -> None:
    set_to(device, 1)
    with executor.watch(Attribute(device, "value")) as changes:
        stale = tango.DeviceProxy(device).read_attribute("value")
        stale_event = type("Stale", (), {"err": False, "attr_value": stale})()
        stale.value = 2
        stale.time.tv_sec -= 10
        changes.notify(stale_event)
        with pytest.raises(WaitTimeout):
            changes.wait_for(lambda v: v == 2, 0.2)


def test_a_device_restarted_meanwhile_is_waited_for(executor: TangoExecutor) -> None:
    with reserved_port() as port, ExitStack() as watching:
        with serving(port) as url:
            attribute = Attribute(f"{url}/2#dbase=no", "value")
            changes = watching.enter_context(executor.watch(attribute))
        with serving(port):
            until(lambda: pushed(attribute.device, 8))
            assert changes.wait_for(lambda v: v == 8, DEADLINE) == 8


def readings(device: str) -> int:
    return int(tango.DeviceProxy(device).readings)


def pushed(device: str, value: int) -> bool:
    try:
        tango.DeviceProxy(device).command_inout("Push", [value])
    except tango.DevFailed:
        return False
    return True
