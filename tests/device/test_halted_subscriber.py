"""A program that subscribes to events and is halted costs a bounded amount of memory, and nobody an event."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import tango

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
DEADLINE = 120.0
NUMBER, SIZE = 3000, 200_000
SUBSCRIBER = """
import json, sys, tango

def tell(event):
    if not event.err:
        print(json.loads(event.attr_value.value).get("topic"), flush=True)

proxy = tango.DeviceProxy(sys.argv[1])
proxy.subscribe_event("event", tango.EventType.CHANGE_EVENT, tell)
sys.stdin.read()
"""
SCRIPT = """
from pubsub import pub

def init(subarray_id=None):
    pass

def main(topic, number, size):
    for _ in range(number):
        pub.sendMessage(topic, text="x" * size)
"""


class Subscriber:
    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUBSCRIBER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.topics: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.topics.put(line.strip())

    def until(self, topic: str) -> None:
        while self.topics.get(timeout=DEADLINE) != topic:
            pass

    def end(self) -> None:
        self.process.kill()
        with self.process:  # which closes its pipes
            self.thread.join()


@pytest.fixture
def controller(device_server: DeviceServers, tmp_path: Path) -> tango.DeviceProxy:
    (tmp_path / "script.py").write_text(SCRIPT)
    return device_server(*CONTROLLER, {"ScriptRoots": str(tmp_path), "adminMode/__value": 0})


@pytest.fixture
def halted(controller: tango.DeviceProxy) -> Iterator[Subscriber]:
    port, name = controller.get_dev_port(), controller.dev_name()
    subscriber = Subscriber(f"tango://127.0.0.1:{port}/{name}#dbase=no")
    yield subscriber
    subscriber.end()


def publish(controller: tango.DeviceProxy, uri: str, *arguments: Any) -> None:
    """Have a script publish events, and wait for its end."""
    ended: queue.Queue[Any] = queue.Queue()

    def tell(event: tango.EventData) -> None:
        if not event.err and event.attr_value.value != "{}":
            ended.put(json.loads(event.attr_value.value)["procedure"])

    subscription = controller.subscribe_event("procedureChanged", tango.EventType.CHANGE_EVENT, tell)
    script = {"script_type": "filesystem", "script_uri": uri}
    call = {"main": {"args": list(arguments)}}
    [[code], [text]] = controller.CreateProcedure(json.dumps({"script": script, "script_args": call}))
    assert code == 1, text
    while (procedure := ended.get(timeout=DEADLINE))["state"] != "READY" or procedure["command_id"] != text:
        pass
    controller.StartProcedure(json.dumps({"procedure_id": procedure["id"]}))
    while (now := ended.get(timeout=DEADLINE))["state"] != "COMPLETE":
        assert now["state"] in {"READY", "RUNNING"}
    controller.unsubscribe_event(subscription)


def test_a_halted_subscriber_is_cut_off_named_and_hears_again_when_it_goes_on(
    controller: tango.DeviceProxy,
    halted: Subscriber,
    device_server: DeviceServers,
    event_channel: Callable[[tango.DeviceProxy], None],
    tmp_path: Path,
) -> None:
    uri = (tmp_path / "script.py").as_uri()
    event_channel(controller)
    publish(controller, uri, "test.first", 1, 10)
    halted.until("test.first")
    server = device_server.of(controller)
    memory = psutil.Process(server.process.pid).memory_info
    before = memory().rss
    halted.process.send_signal(signal.SIGSTOP)
    publish(controller, uri, "test.flood", NUMBER, SIZE)
    # The journal has 128 MiB, what waits for the subscriber is half as much; all of the events are 600 MB.
    assert memory().rss - before < 400_000_000
    assert server.output.count("does not read its events") == 1
    halted.process.send_signal(signal.SIGCONT)
    # It connects by itself; what is told before that it has to ask for.
    while True:
        publish(controller, uri, "test.again", 1, 10)
        try:
            while halted.topics.get(timeout=5.0) != "test.again":
                pass
        except queue.Empty:
            continue
        return
