from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.errors import Rejected, WaitTimeout
from ska_oso_oet.tango import (
    Attribute,
    Callback,
    Command,
    SubscriptionManager,
    TangoDeviceProxyFactory,
    TangoExecutor,
)
from tests.device.lrc_server import DEADLINE, serving, set_to, wait_for_events
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


class Recorder:
    def __init__(self) -> None:
        self.values: list[Any] = []
        self.changed = threading.Condition()

    def notify(self, evt: tango.EventData) -> None:
        with self.changed:
            self.values.append(evt.attr_value.value)
            self.changed.notify_all()

    def wait_for_last(self, value: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.values[-1:] == [value], DEADLINE), self.values


def test_execute_returns_the_response(executor: TangoExecutor, device: str) -> None:
    assert executor.execute(Command(device, "Echo", "hello")) == "hello"


def test_several_arguments_are_one_list(executor: TangoExecutor, device: str) -> None:
    assert executor.execute(Command(device, "Sum", 1.5, 2.5)) == 4


def test_the_devices_own_error_is_raised(executor: TangoExecutor, device: str) -> None:
    with pytest.raises(tango.DevFailed, match="the gears are jammed"):
        executor.execute(Command(device, "Fail"))


def test_read(executor: TangoExecutor, device: str) -> None:
    set_to(device, 17)
    assert executor.read(Attribute(device, "value")) == 17


def test_an_enumerated_attribute_is_read_as_its_enum(executor: TangoExecutor, device: str) -> None:
    gear = executor.read(Attribute(device, "gear"))
    assert (gear, gear.name) == (1, "FIRST")
    assert [each.name for each in executor.read(Attribute(device, "gears"))] == ["FIRST", "NEUTRAL"]


def test_one_proxy_is_made_per_device(device: str) -> None:
    made = []

    def factory(name: str) -> Any:
        made.append(name)
        return TangoDeviceProxyFactory()(name)

    executor = TangoExecutor(factory)
    executor.execute(Command(device, "Echo", "a"))
    executor.read(Attribute(device.upper().replace("TANGO:", "tango:").replace("#DBASE", "#dbase"), "value"))
    assert made == [device]


def test_no_thread_outlives_its_call(executor: TangoExecutor, device: str) -> None:
    executor.execute(Command(device, "Echo", "hello"))
    for thread in threading.enumerate():
        if thread.name.startswith("tango call"):
            thread.join(DEADLINE)
            assert not thread.is_alive()


def test_read_event_gives_each_change_in_order(executor: TangoExecutor, device: str) -> None:
    attribute = Attribute(device, "value")
    set_to(device, 1)
    wait_for_events(device)  # what earlier tests caused has arrived
    identifier = executor.subscribe_event(attribute)
    wait_for_events(device)
    set_to(device, 2, 3)
    seen: list[int] = []
    while seen[-1:] != [3]:
        seen.append(executor.read_event(attribute, timeout=DEADLINE).attr_value.value)
    executor.unsubscribe_event(attribute, identifier)
    assert seen == [1, 2, 3]


def test_read_event_ends_after_its_timeout(executor: TangoExecutor, device: str) -> None:
    attribute = Attribute(device, "value")
    wait_for_events(device)  # what earlier tests caused has arrived
    identifier = executor.subscribe_event(attribute)
    executor.read_event(attribute, timeout=DEADLINE)
    with pytest.raises(WaitTimeout, match=r"value sent no event within 0\.05 s"):
        executor.read_event(attribute, timeout=0.05)
    executor.unsubscribe_event(attribute, identifier)


def test_one_subscription_at_a_time(executor: TangoExecutor, device: str) -> None:
    attribute = Attribute(device, "value")
    identifier = executor.subscribe_event(attribute)
    with pytest.raises(Rejected, match="still subscribed"):
        executor.subscribe_event(attribute)
    with pytest.raises(Rejected, match="no active subscription"):
        executor.unsubscribe_event(attribute, identifier + 1)
    executor.unsubscribe_event(attribute, identifier)
    executor.unsubscribe_event(attribute, executor.subscribe_event(attribute))


def test_an_attribute_without_events_is_refused_each_time(executor: TangoExecutor, device: str) -> None:
    for _ in range(2):
        with pytest.raises(tango.DevFailed, match="silent"):
            executor.subscribe_event(Attribute(device, "silent"))


def test_observers_share_one_subscription(device: str) -> None:
    subscribed = []

    class Proxy:
        def __init__(self, name: str) -> None:
            self._proxy = tango.DeviceProxy(name)

        def subscribe_event(self, *args: Any) -> int:
            subscribed.append(args[0])
            return int(self._proxy.subscribe_event(*args))

    manager = SubscriptionManager(Proxy)
    attribute, first, second = Attribute(device, "value"), Recorder(), Recorder()
    set_to(device, 1)
    starts = [
        threading.Thread(target=manager.register_observer, args=(attribute, o)) for o in (first, second)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join(DEADLINE)
    wait_for_events(device)
    set_to(device, 2)
    first.wait_for_last(2)
    second.wait_for_last(2)
    manager.unregister_observer(attribute, second)
    set_to(device, 3)
    first.wait_for_last(3)
    assert second.values[-1] == 2
    assert subscribed == ["value"]


class Event:
    attr_name = "a/b/c/d"
    attr_value = None


class Failing:
    def notify(self, _evt: object) -> None:
        raise ValueError("an observer's own fault")


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def notify(self, _evt: object) -> None:
        self.count += 1


def test_observers_are_held_weakly() -> None:
    callback, kept, dropped = Callback(), Counting(), Counting()
    callback.register_observer(kept)
    callback.register_observer(kept)
    callback.register_observer(dropped)
    del dropped
    gc.collect()
    callback.notify_observers(Event())
    assert kept.count == 1
    callback.unregister_observer(kept)
    callback(Event())
    assert kept.count == 1


def test_a_failing_observer_does_not_keep_events_from_others(caplog: pytest.LogCaptureFixture) -> None:
    callback, failing, counting = Callback(), Failing(), Counting()
    callback.register_observer(failing)
    callback.register_observer(counting)
    callback.notify_observers(Event())
    assert counting.count == 1
    assert "an observer's own fault" in caplog.text
