"""The HTTP API: how long a request takes, how late its stream of events is, what idle streams cost."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import tango
from measuring import DEADLINE, Watcher, address, controller, create, folder, report, rss, server

if TYPE_CHECKING:
    from collections.abc import Iterator

N = 200
STREAMS = 500
LISTED = 10
SCRIPT = "def init(subarray_id):\n    pass\n\ndef main():\n    pass\n"


class Connection:
    """A kept HTTP connection: a bare socket, so that a client's own time is not measured."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._path = parts.path
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self._socket.makefile("rb")

    def get(self, path: str) -> bytes:
        self.send(path)
        length = 0
        while line := self.file.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return self.file.read(length)

    def send(self, path: str) -> None:
        self._socket.sendall(f"GET {self._path}{path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextlib.contextmanager
def adapter(proxy: tango.DeviceProxy) -> Iterator[tuple[str, int]]:
    """Run an OETRestAdapter of the controller; yields the URL of the API and the process id."""
    program = str(Path(sys.executable).with_name("OETRestAdapter"))
    settings = {"OET_REST_CONTROLLER_NAME": address(proxy), "OET_REST_PORT": "0"}
    with server([program], "mid-oso/oet-rest-adapter/01", settings) as (device, pid):
        device.adminMode = 0
        end = time.monotonic() + DEADLINE
        while int(device.healthState) != 0:
            assert time.monotonic() < end, "the HTTP API has not reached the controller"
            time.sleep(0.1)
        yield str(device.url), pid


def requests(url: str, name: str) -> None:
    connection = Connection(url)
    answer = json.loads(connection.get("/procedures"))
    assert len(answer["procedures"]) == LISTED
    waits = []
    for _ in range(N):
        begin = time.perf_counter()
        connection.get("/procedures")
        waits.append(time.perf_counter() - begin)
    connection.close()
    report(name, waits)


class Ready:
    """When the stream says that a procedure is READY, by the id of its command."""

    def __init__(self, url: str) -> None:
        self._moments: queue.Queue[tuple[str, float]] = queue.Queue()
        self._connection = Connection(url)
        self._connection.send("/stream")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._connection.file:
                now = time.perf_counter()
                if b'"procedure.lifecycle.ready"' in line:
                    self._moments.put((json.loads(line.partition(b":")[2])["request_id"], now))

    def of(self, command_id: str) -> float:
        while True:
            found, moment = self._moments.get(timeout=DEADLINE)
            if found == command_id:
                return moment

    def close(self) -> None:
        self._connection.close()
        self._thread.join()


def streams(proxy: tango.DeviceProxy, url: str, script: Path) -> None:
    """Compare when READY is heard through Tango and through the stream, of the same procedures."""
    watcher, ready = Watcher(proxy), Ready(url)
    time.sleep(1.0)
    by_tango, by_http, later = [], [], []
    for _ in range(N):
        begin = time.perf_counter()
        command_id = create(proxy, script)
        told, procedure = watcher.moment_and_procedure(command_id, "READY")
        sent = ready.of(command_id)
        by_tango.append(told - begin)
        by_http.append(sent - begin)
        later.append(max(0.0, sent - told))
        proxy.StopProcedure(json.dumps({"procedure_id": procedure["id"], "run_abort": False}))
        watcher.until(procedure["id"], "STOPPED")
    ready.close()
    floor = report("create → READY, by a Tango event", by_tango)
    report("create → READY, by a server-sent event", by_http, floor)
    report("  later than the Tango event, of the same", later)


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; {os.cpu_count()} CPUs; PyTango {tango.__version__}")
    with folder() as place:
        script = place / "bench.py"
        script.write_text(SCRIPT)
        with controller(place) as (proxy, _), adapter(proxy) as (url, pid):
            streams(proxy, url, script)
            floor = []
            for _ in range(N):
                begin = time.perf_counter()
                proxy.read_attribute("procedures")
                floor.append(time.perf_counter() - begin)
            report("floor: reading the attribute", floor)
            requests(url, f"GET /procedures, {LISTED} listed")
            before = rss(pid)
            idle = [Connection(url) for _ in range(STREAMS)]
            for each in idle:
                each.send("/stream")
                each.file.readline()
            time.sleep(1.0)
            print(f"{f'{STREAMS} idle streams':<44} {rss(pid) - before:+.1f} MB")
            requests(url, "  GET /procedures meanwhile")
            for each in idle:
                each.close()


if __name__ == "__main__":
    main()
