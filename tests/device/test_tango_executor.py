from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.errors import Rejected, WaitTimeout
from ska_oso_oet.features import Features
from ska_oso_oet.ska.control_model import TaskStatus
from ska_oso_oet.tango import (
    Attribute,
    Callback,
    Command,
    CommandFailed,
    SubscriptionManager,
    TangoDeviceProxyFactory,
    TangoExecutor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).with_name("lrc_device.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(free_port()) as served:
        yield served


@pytest.fixture(params=[1, 2])
def lrc(request: pytest.FixtureRequest, url: str) -> str:
    return f"{url}/{request.param}#dbase=no"


@pytest.fixture
def device(url: str) -> str:
    return f"{url}/2#dbase=no"


@pytest.fixture
def executor() -> TangoExecutor:
    return TangoExecutor()


def set_to(device: str, *values: int) -> None:
    tango.DeviceProxy(device).Push(list(values))


def polling() -> Features:
    return Features(ConfigParser(), {"OET_READ_VIA_PUBSUB": "false"})


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
            assert self.changed.wait_for(lambda: self.values[-1:] == [value], 10), self.values


# ------------------------------------------------------------------ execute and read


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
            thread.join(5)
            assert not thread.is_alive()


# ------------------------------------------------------------------ events


def test_read_event_gives_each_change_in_order(executor: TangoExecutor, device: str) -> None:
    attribute = Attribute(device, "value")
    set_to(device, 1)
    identifier = executor.subscribe_event(attribute)
    set_to(device, 2, 3)
    seen: list[int] = []
    while seen[-1:] != [3]:
        seen.append(executor.read_event(attribute, timeout=10).attr_value.value)
    executor.unsubscribe_event(attribute, identifier)
    assert seen == [1, 2, 3]


def test_read_event_ends_after_its_timeout(executor: TangoExecutor, device: str) -> None:
    attribute = Attribute(device, "value")
    identifier = executor.subscribe_event(attribute)
    executor.read_event(attribute, timeout=10)
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
        start.join(10)
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


# ------------------------------------------------------------------ wait_for and watch


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_a_value_that_is_there(features: Features | None, device: str) -> None:
    set_to(device, 5)
    assert TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 5, 10) == 5


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_a_value_to_come(features: Features | None, device: str) -> None:
    set_to(device, 0)
    tango.DeviceProxy(device).PushLater(9)
    assert TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 9, 10) == 9


def test_a_value_that_no_event_told_of_is_found(executor: TangoExecutor, device: str) -> None:
    set_to(device, 0)
    with executor.watch(Attribute(device, "value")) as changes:
        tango.DeviceProxy(device).SetQuietly(3)
        assert changes.wait_for(lambda v: v == 3, 30) == 3


@pytest.mark.parametrize("features", [None, polling()], ids=["events", "polling"])
def test_wait_for_ends_after_its_timeout(features: Features | None, device: str) -> None:
    set_to(device, 4)
    with pytest.raises(WaitTimeout, match=r"within 0\.3 s: its last value was 4"):
        TangoExecutor(features=features).wait_for(Attribute(device, "value"), lambda v: v == 5, 0.3)


def test_polling_needs_no_events(device: str) -> None:
    set_to(device, 6)
    executor = TangoExecutor(features=polling())
    assert executor.wait_for(Attribute(device, "silent"), lambda v: v == 6, 10) == 6


def test_a_watch_sees_values_that_passed_before_it_was_asked(executor: TangoExecutor, device: str) -> None:
    set_to(device, 0)
    with executor.watch(Attribute(device, "value")) as changes:
        set_to(device, 1, 2, 0)
        assert changes.initial == 0
        assert changes.wait_for(lambda v: v == 1, 10) == 1
        assert changes.wait_for(lambda v: v == 2, 10) == 2
        assert changes.wait_for(lambda v: v == 0, 10) == 0


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
    port = free_port()
    with ExitStack() as watching:
        with serving(port) as url:
            attribute = Attribute(f"{url}/2#dbase=no", "value")
            changes = watching.enter_context(executor.watch(attribute))
        with serving(port):
            until(lambda: pushed(attribute.device, 8))
            assert changes.wait_for(lambda v: v == 8, 40) == 8


def pushed(device: str, value: int) -> bool:
    try:
        tango.DeviceProxy(device).command_inout("Push", [value])
    except tango.DevFailed:
        return False
    return True


# ------------------------------------------------------------------ long running commands


def test_a_long_running_command_is_followed_to_its_end(executor: TangoExecutor, lrc: str) -> None:
    updates = [{"progress": 25}, {"progress": 75}, {"status": 5, "result": [0, "done"]}]
    progress: list[int] = []
    outcome = executor.execute_lrc(
        Command(lrc, "Work", json.dumps(updates)), timeout=10, on_progress=progress.append
    )
    assert (outcome.status, outcome.result, progress) == (TaskStatus.COMPLETED, [0, "done"], [25, 75])


def test_commands_one_after_another_do_not_mix(executor: TangoExecutor, lrc: str) -> None:
    for text in ("one", "two", "three"):
        updates = [{"status": 5, "result": [0, text]}]
        assert executor.execute_lrc(Command(lrc, "Work", json.dumps(updates)), timeout=10).result == [0, text]


@pytest.mark.parametrize(
    ("status", "result", "named"),
    [
        (5, [3, "no power"], "COMPLETED: no power"),
        (3, [7, "aborted"], "ABORTED"),
        (7, [3, "bug"], "FAILED: bug"),
    ],
)
def test_a_command_that_does_not_succeed_is_an_error(
    executor: TangoExecutor, lrc: str, status: int, result: list[Any], named: str
) -> None:
    updates = [{"status": status, "result": result}]
    with pytest.raises(CommandFailed, match=named) as caught:
        executor.execute_lrc(Command(lrc, "Work", json.dumps(updates)), timeout=10)
    assert caught.value.outcome.result == result


def test_a_refused_command_is_an_error(executor: TangoExecutor, lrc: str) -> None:
    with pytest.raises(Rejected, match="too busy"):
        executor.execute_lrc(Command(lrc, "Work", "reject"), timeout=10)


def test_a_command_that_does_not_end_in_time_is_left_running(executor: TangoExecutor, lrc: str) -> None:
    aborts = executor.read(Attribute(lrc, "aborts"))
    with pytest.raises(WaitTimeout, match="IN_PROGRESS, progress 10"):
        executor.execute_lrc(Command(lrc, "Work", json.dumps([{"progress": 10}])), timeout=0.5)
    assert executor.read(Attribute(lrc, "aborts")) == aborts


def test_a_command_is_aborted_when_following_it_fails(executor: TangoExecutor, lrc: str) -> None:
    aborts = executor.read(Attribute(lrc, "aborts"))

    def stop(_progress: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.execute_lrc(Command(lrc, "Work", json.dumps([{"progress": 10}])), on_progress=stop)
    assert executor.read(Attribute(lrc, "aborts")) == aborts + 1


@pytest.mark.parametrize("then", ["FinishSilently", "Forget"])
def test_what_no_event_told_is_asked_for(executor: TangoExecutor, device: str, then: str) -> None:
    def on_progress(_progress: int) -> None:
        tango.DeviceProxy(device).command_inout(then)

    command = Command(device, "Work", json.dumps([{"progress": 10}]))
    if then == "FinishSilently":
        assert executor.execute_lrc(command, timeout=10, on_progress=on_progress).result == [0, "found"]
    else:
        with pytest.raises(CommandFailed, match="NOT_FOUND: the device does not know"):
            executor.execute_lrc(command, timeout=10, on_progress=on_progress)


# ------------------------------------------------------------------ stopping a script

SCRIPT = """
import os, signal, sys, time
from ska_oso_oet.tango import *

class Stopped(BaseException):
    pass

def stop(*_):
    raise Stopped

signal.signal(signal.SIGTERM, stop)
device, silent = sys.argv[1:]
executor = TangoExecutor()
value = Attribute(device, "value")
identifier = executor.subscribe_event(value)
executor.read_event(value, timeout=10)
print("ready", flush=True)
try:
    {wait}
except Stopped:
    print("stopped", time.time(), flush=True)
    os._exit(7)  # as the children of a fork server end
"""
WAITS = {
    "read_event": "executor.read_event(value)",
    "wait_for": "executor.wait_for(value, lambda v: False)",
    "execute": "executor.execute(Command(device, 'Sleep', 2.5))",
    "execute_lrc": "executor.execute_lrc(Command(device, 'Work', '[]'))",
    "unreachable": "executor.read(Attribute(f'tango://{silent}/a/b/c#dbase=no', 'x'))",
    "skuid": "RemoteScanIdGenerator(silent, timeout=60).next()",
}


@pytest.mark.parametrize("wait", WAITS)
def test_sigterm_interrupts_at_once(wait: str, url: str, tmp_path: Path) -> None:
    """What is waited for takes longer than the bound that is asserted, or never comes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(wait=WAITS[wait]))
    device = f"{url}/{'1' if wait == 'execute' else '2'}#dbase=no"
    commands = executor_commands(device) if wait == "execute_lrc" else 0
    with ExitStack() as connections, socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [device, f"127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(
            [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if wait == "execute_lrc":
                until(lambda: executor_commands(device) > commands)
            elif wait in {"unreachable", "skuid"}:
                connections.enter_context(silent.accept()[0])
            else:
                time.sleep(0.3)  # nothing tells from outside that the process has begun to wait
            sent = time.time()
            process.send_signal(signal.SIGTERM)
            word, at = process.stdout.readline().split()
            process.wait(20)
    assert word == "stopped"
    assert float(at) - sent < 1.0
    assert process.returncode == 7


def test_what_was_sent_can_be_waited_for(url: str, tmp_path: Path) -> None:
    """So that a script's clean-up comes to the device after the command that the stop interrupted."""
    script = tmp_path / "script.py"
    wait = "executor.execute(Command(device, 'Sleep', 1.0))"
    settled = "before = len(_in_flight); settle(10); print(before, len(_in_flight), flush=True)"
    script.write_text(
        SCRIPT.replace("{wait}", wait)
        .replace("import *", "import *\nfrom ska_oso_oet.scripting.proxies import _in_flight, settle")
        .replace("os._exit", f"{settled}; os._exit")
    )
    device = f"{url}/1#dbase=no"
    with subprocess.Popen(
        [sys.executable, str(script), device, "-"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)  # nothing tells from outside that the command was sent
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline().startswith("stopped")
        assert process.stdout.readline() == "1 0\n"
        assert process.wait(20) == 7


def executor_commands(device: str) -> int:
    return int(tango.DeviceProxy(device).commands)


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        time.sleep(0.05)  # the device tells nobody
        assert time.monotonic() < deadline
