"""Long running commands of a running device: many at a time, held ones, aborted ones, and the debugger."""

from __future__ import annotations

import importlib.util
import json
import queue
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.ska.lrc_record import CommandLimits

if TYPE_CHECKING:
    from tests.device.conftest import DeviceServers

DEVICE = Path(__file__).with_name("ska_test_device.py"), "SkaTestDevice"
ONLINE = {"adminMode/__value": 0}
DEADLINE = 60.0
CLIENTS = 4
COMMANDS = 250


def answer(reply: Any) -> tuple[int, str]:
    [[code], [text]] = reply
    return int(code), text


@pytest.fixture
def device(device_server: DeviceServers) -> tango.DeviceProxy:
    return device_server(*DEVICE, ONLINE)


Wait = Callable[[str], dict[str, Any]]


@pytest.fixture
def wait_for(device: tango.DeviceProxy, event_channel: Callable[[tango.DeviceProxy], None]) -> Iterator[Wait]:
    """Wait for the end of a command, as a client does that knows only the SKA contract."""
    finished: queue.Queue[tuple[str, ...]] = queue.Queue()

    def received(event: tango.EventData) -> None:
        if not event.err:
            finished.put(event.attr_value.value)

    subscription = device.subscribe_event("lrcFinished", tango.EventType.CHANGE_EVENT, received)
    event_channel(device)

    def wait(uid: str) -> dict[str, Any]:
        finished.put(device.lrcFinished)
        while True:
            for document in map(json.loads, finished.get(timeout=DEADLINE)):
                if document["uid"] == uid:
                    return dict(document)

    yield wait
    device.unsubscribe_event(subscription)


class Client:
    """One of several clients that use a device at the same time, each with a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ids: list[str] = []
        self.faults: list[str] = []

    def run(self) -> None:
        with tango.EnsureOmniThread():
            device = tango.DeviceProxy(self._url)
            try:
                self._work(device)
            except tango.DevFailed as error:
                self.faults.append(str(error))

    def _work(self, device: tango.DeviceProxy) -> None:
        while len(self.ids) < COMMANDS:
            code, text = answer(device.Quick())
            if code == 1:
                self.ids.append(text)
            elif "maximum" not in text:
                self.faults.append(text)
            for name in ("longRunningCommandStatus", "lrcFinished", "lrcExecuting"):
                device.read_attribute(name)


class Ends:
    """How each command has ended, by the events of protocol 2."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.results: dict[str, list[Any]] = defaultdict(list)
        self.errors: list[Any] = []
        self.complete = threading.Event()

    def received(self, event: tango.EventData) -> None:
        if event.err:
            self.errors.append(event.errors)
        elif event.attr_value.value:
            uid, text = event.attr_value.value
            update = json.loads(text)
            if update.get("status", 0) >= 3:
                self.results[uid].append(update["result"])
        if len(self.results) == self._expected:
            self.complete.set()


def test_a_thousand_commands_from_four_clients_all_end(
    device: tango.DeviceProxy, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    ends = Ends(CLIENTS * COMMANDS)
    subscription = device.subscribe_event("_lrcEvent", tango.EventType.CHANGE_EVENT, ends.received)
    event_channel(device)
    url = f"tango://{device.get_dev_host()}:{device.get_dev_port()}/{device.dev_name()}#dbase=no"
    clients = [Client(url) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [client.faults for client in clients] == [[]] * CLIENTS
    ids = {uid for client in clients for uid in client.ids}
    assert len(ids) == CLIENTS * COMMANDS
    assert ends.complete.wait(DEADLINE), f"not all have ended: {len(ends.results)}, {ends.errors}"
    device.unsubscribe_event(subscription)
    assert set(ends.results) == ids
    assert all(results == [[0, "quick"]] for results in ends.results.values())
    for name, size in CommandLimits().sizes.items():
        assert len(device.read_attribute(name).value) <= size
    assert (device.lrcExecuting, device.lrcQueue, len(device.lrcFinished)) == ((), (), 100)
    assert {json.loads(text)["status"] for text in device.lrcFinished} == {"COMPLETED"}
    outcomes = [json.loads(device.GetCommandResult(uid)) for uid in ids]
    assert outcomes == [{"status": "COMPLETED", "result": [0, "quick"], "progress": 50}] * len(ids)


def test_a_full_device_rejects_and_stays_readable(device: tango.DeviceProxy, wait_for: Wait) -> None:
    held = [answer(device.Hold()) for _ in range(32)]
    assert {code for code, _ in held} == {1}
    assert answer(device.Hold()) == (5, "Input queue supports a maximum of 32 commands")
    code, abort = answer(device.Abort())
    assert code == 1
    for name, size in CommandLimits().sizes.items():
        assert len(device.read_attribute(name).value) <= size
    wait_for(abort)
    assert {device.CheckLongRunningCommandStatus(uid) for _, uid in held} == {"ABORTED"}
    assert "STAGING" not in device.longRunningCommandStatus


def test_abort_ends_what_runs_and_new_commands_are_taken_again(
    device: tango.DeviceProxy, wait_for: Wait
) -> None:
    _, held = answer(device.Hold())
    code, abort = answer(device.Abort())
    assert code == 1
    assert wait_for(abort)["result"] == [0, "Abort completed OK"]
    assert wait_for(held)["result"] == [7, "stopped"]
    assert [json.loads(text)["name"] for text in device.lrcFinished] == ["Hold", "Abort"]
    assert answer(device.Quick())[0] == 1


def test_a_bug_in_a_command_is_told_as_a_failure(device: tango.DeviceProxy, wait_for: Wait) -> None:
    code, uid = answer(device.Buggy())
    assert code == 1
    finished = wait_for(uid)
    assert finished["status"] == "FAILED"
    assert finished["result"] == [3, "Unhandled exception during execution: a bug"]


def test_requests_are_answered_while_a_command_runs_and_events_flow(
    device: tango.DeviceProxy, wait_for: Wait
) -> None:
    _, held = answer(device.Hold())
    for number in range(100):
        device.simulationMode = number % 2
        assert device.CheckLongRunningCommandStatus(held) == "IN_PROGRESS"
    device.Release()
    assert wait_for(held)["result"] == [0, "released"]


@pytest.mark.skipif(importlib.util.find_spec("debugpy") is None, reason="debugpy is not installed")
def test_a_debugger_can_attach(device: tango.DeviceProxy) -> None:
    port = device.DebugDevice()
    assert device.DebugDevice() == port
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.settimeout(DEADLINE)
        request = json.dumps(
            {"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "t"}}
        )
        connection.sendall(f"Content-Length: {len(request)}\r\n\r\n{request}".encode())
        assert connection.recv(64).startswith(b"Content-Length")


def test_without_debugpy_the_refusal_says_how_to_get_it(device_server: DeviceServers, tmp_path: Path) -> None:
    (tmp_path / "debugpy.py").write_text("raise ImportError")
    device = device_server(*DEVICE, ONLINE, env={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(tango.DevFailed) as refusal:
        device.DebugDevice()
    assert refusal.value.args[0].reason == "OET_DebuggerNotInstalled"
    assert "pip install" in refusal.value.args[0].desc


def test_the_client_of_ska_tango_base_follows_a_command(device: tango.DeviceProxy) -> None:
    api = pytest.importorskip("ska_tango_base.long_running_commands_api")
    updates: queue.Queue[dict[str, Any]] = queue.Queue()

    def callback(**update: Any) -> None:
        updates.put(update)

    follow = partial(api.invoke_lrc, lrc_callback=callback, proxy=device)
    subscription = follow(command="Quick")
    told: dict[str, Any] = {}
    while told.get("status") is None or told["status"] < 3:
        told |= updates.get(timeout=DEADLINE)
        assert "error" not in told
    del subscription
    assert (told["status"].name, told["result"]) == ("COMPLETED", [0, "quick"])
    faults = pytest.importorskip("ska_tango_base.faults")
    with pytest.raises(faults.CommandError, match="already in ON state"):
        follow(command="On")
