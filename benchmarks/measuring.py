"""What the benchmarks share: servers without a database, waiting for events, and how figures are printed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tango

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DEADLINE = 30.0


def report(name: str, seconds: Sequence[float], floor: float | None = None) -> float:
    """Print median and p99 in ms, and the ratio of the median to a floor; return the median in s."""
    ordered = sorted(seconds)
    median = statistics.median(ordered)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    ratio = "" if not floor else f"   {median / floor:6.2f} x floor"
    print(f"{name:<44} median {median * 1e3:8.2f} ms   p99 {p99 * 1e3:8.2f} ms   n {len(ordered):4}{ratio}")
    return median


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(
    command: list[str], device: str, environment: dict[str, str] | None = None
) -> Iterator[tuple[tango.DeviceProxy, int]]:
    """Run a device server without a database; yields a proxy of its device and its process id."""
    port = free_port()
    process = subprocess.Popen(
        [*command, "bench", "-nodb", "-dlist", device, "-ORBendPoint", f"giop:tcp:127.0.0.1:{port}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Ready to accept request" in line:
            break
    try:
        yield tango.DeviceProxy(f"tango://127.0.0.1:{port}/{device}#dbase=no"), process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def controller(folder: Path, **environment: str) -> Iterator[tuple[tango.DeviceProxy, int]]:
    """Run an OETController whose scripts come from `folder`."""
    program = str(Path(sys.executable).with_name("OETController"))
    settings = {
        "OET_SCRIPT_ROOTS": str(folder),
        "OET_ENVIRONMENTS_DIR": str(folder / "environments"),
        "ODA_DATA_DIR": str(folder / "oda"),
        "OET_HISTORY_URL": f"sqlite:///{folder / 'history.db'}",
        **environment,
    }
    with server([program], "mid-oso/oet-controller/01", settings) as (proxy, pid):
        proxy.adminMode = 0
        yield proxy, pid


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oet-bench-") as name:
        yield Path(name)


class Watcher:
    """Receives procedureChanged, with the moment of each."""

    def __init__(self, proxy: tango.DeviceProxy) -> None:
        self._changes: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        proxy.subscribe_event("procedureChanged", tango.EventType.CHANGE_EVENT, self._take)

    def _take(self, event: tango.EventData) -> None:
        now = time.perf_counter()
        if not event.err:
            self._changes.put((now, json.loads(event.attr_value.value)))

    def until(self, which: int | str, *states: str) -> float:
        """Return the moment at which a procedure, or that of a command, was in one of the states."""
        return self.moment_and_procedure(which, *states)[0]

    def moment_and_procedure(self, which: int | str, *states: str) -> tuple[float, dict[str, Any]]:
        while True:
            now, change = self._changes.get(timeout=DEADLINE)
            procedure = change.get("procedure", {})
            if which not in {procedure.get("id"), procedure.get("command_id")}:
                continue
            if procedure["state"] in states:
                return now, procedure
            if procedure["state"] == "FAILED":
                raise RuntimeError(procedure)

    def until_all(self, pids: Iterable[int], state: str) -> float:
        """Return the moment at which the last of the procedures was said to be in a state."""
        waiting, now = set(pids), 0.0
        while waiting:
            now, change = self._changes.get(timeout=DEADLINE)
            procedure = change.get("procedure", {})
            if procedure.get("state") == state:
                waiting.discard(procedure["id"])
        return now


def create(proxy: tango.DeviceProxy, script: Path, subarray: int = 1) -> str:
    """Have a procedure created; returns the id of the command."""
    request = {
        "script": {"script_type": "filesystem", "script_uri": script.as_uri()},
        "script_args": {"init": {"kwargs": {"subarray_id": subarray}}},
    }
    [[code], [text]] = proxy.CreateProcedure(json.dumps(request))
    assert code == 1, text
    return str(text)


def start(proxy: tango.DeviceProxy, pid: int, **kwargs: Any) -> None:
    request = {"procedure_id": pid, "script_args": {"main": {"kwargs": kwargs}}}
    [[code], [text]] = proxy.StartProcedure(json.dumps(request))
    assert code == 1, text


def address(proxy: tango.DeviceProxy) -> str:
    """Name the device of a server without a database, for other processes."""
    return f"tango://{proxy.get_dev_host()}:{proxy.get_dev_port()}/{proxy.dev_name()}#dbase=no"


def rss(pid: int) -> float:
    """Resident set size in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its live descendants."""
    total = 0.0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(entry.parent.name) == pid or int(fields[1]) == pid:
                total += sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return total
