"""Fixtures for tests against running devices."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
import tango

from tests.device.device_program import run_device
from tests.reserved_port import reserved_port
from tests.warm_process import WarmProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
CALL_TIMEOUT_MS = 20_000  # a loaded machine may need longer than the 3 s that are usual


class Server:
    """One device server process and what it has printed."""

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: Path) -> None:
        reading, writing = os.pipe()
        self._lines = os.fdopen(reading, encoding="utf-8")
        self.process = WarmProcess(run_device, command, env=env, cwd=cwd, stdout=writing, stderr=writing)
        os.close(writing)
        self.lines: list[str] = []
        self.stopped = False
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            self.lines.append(line)
            if "Ready to accept request" in line:
                self._ready.set()
        self._ready.set()

    def wait_ready(self) -> None:
        assert self._ready.wait(START_TIMEOUT), "the device server did not become ready:\n" + self.output
        assert self.process.poll() is None, "the device server has ended:\n" + self.output

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, as an operator does, and answer its exit code; negative if it had to be killed."""
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(STOP_TIMEOUT)
        self._lines.close()
        assert self.process.returncode is not None
        return self.process.returncode


class DeviceServers:
    """Starts devices in processes of their own, without a Tango database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.servers: dict[str, Server] = {}

    def __call__(
        self,
        source: str | Path,
        class_name: str,
        properties: Mapping[str, object] | None = None,
        *,
        env: Mapping[str, str] | None = None,
    ) -> tango.DeviceProxy:
        """Run `class_name` of the module or the .py file `source`; answer a proxy of its only device.

        `properties` are device properties (a list for several values) or, as "attribute/__value", the
        memorised value of an attribute. The working directory of the server is a temporary folder.
        """
        number = len(self.servers)
        device = f"test/{class_name.lower()}/{number}"
        folder = self._folder / f"server{number}"
        folder.mkdir()
        (folder / "properties.txt").write_text(_property_file(class_name, device, properties or {}))
        with reserved_port() as port:
            command = [
                *("device_server", str(source), class_name, "test", "-file=properties.txt"),
                *("-ORBendPoint", f"giop:tcp:127.0.0.1:{port}"),
            ]
            history = {"OET_HISTORY_URL": f"sqlite:///{folder}/history.db"}
            server = Server(command, {**os.environ, **history, **(env or {})}, folder)
            self.servers[device] = server
            server.wait_ready()
        proxy = tango.DeviceProxy(f"tango://127.0.0.1:{port}/{device}#dbase=no")
        proxy.set_timeout_millis(CALL_TIMEOUT_MS)
        return proxy

    def of(self, proxy: tango.DeviceProxy) -> Server:
        """Answer the server that runs the device."""
        return self.servers[proxy.dev_name()]


@pytest.fixture
def device_server(tmp_path: Path) -> Iterator[DeviceServers]:
    """Start any device class in a subprocess: `proxy = device_server(source, class_name, properties)`.

    May be called several times. `device_server.of(proxy)` gives its process, output and `stop()`. At the
    end of the test every server still running gets SIGTERM; one that does not exit well fails the test.
    """
    servers = DeviceServers(tmp_path)
    yield servers
    codes = {name: server.stop() for name, server in servers.servers.items() if not server.stopped}
    for server in servers.servers.values():
        print(server.output)
    assert not any(codes.values()), f"device servers that did not end well: {codes}"


@pytest.fixture
def event_channel() -> Callable[[tango.DeviceProxy], None]:
    """Wait until the subscriptions made so far carry events: `event_channel(proxy)`, an SKA device.

    A subscription returns before its events arrive. Subscriptions take effect in their order, so when a
    later one carries events, all of them do.
    """
    return _wait_for_events


def _wait_for_events(device: tango.DeviceProxy) -> None:
    arrived: queue.Queue[tango.EventData] = queue.Queue()
    probe = device.subscribe_event("simulationMode", tango.EventType.ARCHIVE_EVENT, arrived.put)
    arrived.get(timeout=START_TIMEOUT)
    for _ in range(300):
        device.simulationMode = 1
        device.simulationMode = 0
        try:
            while arrived.get(timeout=0.2).attr_value.value != 0:
                pass
        except queue.Empty:
            continue
        device.unsubscribe_event(probe)
        return
    pytest.fail("no event arrives")


def _property_file(class_name: str, device: str, properties: Mapping[str, object]) -> str:
    lines = [f'{class_name}/test/DEVICE/{class_name}: "{device}"']
    for name, value in properties.items():
        values = value if isinstance(value, list | tuple) else [value]
        quoted = ", ".join('"' + str(item).replace("\\", "\\\\").replace('"', '\\"') + '"' for item in values)
        lines.append(f"{device}{'/' if '/' in name else '->'}{name.replace('/', '->')}: {quoted}")
    return "\n".join(lines) + "\n"
