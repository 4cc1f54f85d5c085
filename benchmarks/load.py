"""What the engine stands: floods of events and output, many procedures, and a script that will not stop."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import tango
from measuring import Watcher, address, controller, create, folder, report, rss, start

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 50_000
SUBSCRIBER = """
import json, sys, time, tango
count, last = 0, 0
def take(event):
    global count, last
    if not event.err and '"user.script.announce"' in event.attr_value.value:
        count += 1; last = time.time()
proxy = tango.DeviceProxy(sys.argv[1])
proxy.subscribe_event("event", tango.EventType.CHANGE_EVENT, take)
print("subscribed", flush=True)
sys.stdin.readline()
print(json.dumps([count, last]), flush=True)
"""
SCRIPT = """
import sys, time
from pubsub import pub

def init(subarray_id):
    pass

def main(events=0, megabytes=0, stubborn=False):
    text = "x" * 100
    for number in range(events):
        pub.sendMessage("user.script.announce", msg_src="load", msg=f"{number} {text}")
    line = "y" * 99 + "\\n"
    for _ in range(megabytes * 10_000):
        sys.stdout.write(line)
    while stubborn:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""


def pss(pid: int) -> float:
    """Proportional set size in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


class Bench:
    def __init__(self, proxy: tango.DeviceProxy, pid: int, script: Path, url: str) -> None:
        self.proxy, self.pid, self.script, self.url = proxy, pid, script, url
        self.watcher = Watcher(proxy)
        self.made = 0

    def ready(self, subarray: int = 1) -> int:
        create(self.proxy, self.script, subarray)
        self.made += 1
        self.watcher.until(self.made, "READY")
        return self.made

    def stop(self, pid: int) -> float:
        begin = time.perf_counter()
        self.proxy.StopProcedure(json.dumps({"procedure_id": pid, "run_abort": False}))
        return self.watcher.until(pid, "STOPPED", "COMPLETE") - begin

    def memory(self) -> None:
        pids = [self.ready(number + 1) for number in range(32)]
        fork_server = children(self.pid)[0]
        workers = children(fork_server)
        sizes = [pss(worker) for worker in workers]
        mean = sum(sizes) / len(sizes)
        print(f"{'PSS of a READY procedure, 32 of them':<44} mean {mean:.1f} MB   max {max(sizes):.1f} MB")
        for pid in pids:
            self.stop(pid)

    def flood(self, subscribers: int) -> None:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", SUBSCRIBER, self.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "TANGO_EVENT_BUFFER_HWM": "100000"},
            )
            for _ in range(subscribers)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(1.0)
        before = self.proxy.lastEventSeq
        pid, other = self.ready(1), self.ready(2)
        begin = time.time()
        start(self.proxy, pid, events=EVENTS)
        time.sleep(0.3)
        moment = time.perf_counter()
        start(self.proxy, other)
        meanwhile = self.watcher.until(other, "COMPLETE") - moment
        self.watcher.until(pid, "COMPLETE")
        time.sleep(1.0)
        counts = [json.loads(process.communicate("\n")[0]) for process in processes]
        self._report_flood(begin, counts, before, meanwhile)

    def _report_flood(
        self, begin: float, counts: list[tuple[int, float]], before: int, meanwhile: float
    ) -> None:
        slowest = min(count / (last - begin) for count, last in counts)
        query = {"since": self.proxy.lastEventSeq - 9000, "limit": 9000}
        seqs = [event["seq"] for event in json.loads(self.proxy.GetEvents(json.dumps(query)))["events"]]
        whole = seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        print(
            f"{f'{EVENTS} events to {len(counts)} subscribers':<44} {slowest:.0f} events/s each; "
            f"lost on the way {[EVENTS - count for count, _ in counts]}; "
            f"numbered without a gap: {whole and self.proxy.lastEventSeq - before >= EVENTS}"
        )
        print(f"{'start → COMPLETE of another script meanwhile':<44} {meanwhile * 1e3:.0f} ms")

    def output(self) -> None:
        pid = self.ready(1)
        before = rss(self.pid)
        waits: list[float] = []
        with self._asking(waits):
            begin = time.perf_counter()
            start(self.proxy, pid, megabytes=100)
            took = self.watcher.until(pid, "COMPLETE") - begin
        print(f"{'100 MB of print':<44} {took:.1f} s; controller grew by {rss(self.pid) - before:.1f} MB")
        report("a command meanwhile", waits)

    @contextlib.contextmanager
    def _asking(self, waits: list[float]) -> Iterator[None]:
        done = threading.Event()

        def ask() -> None:
            with tango.EnsureOmniThread():
                proxy = tango.DeviceProxy(self.url)
                while not done.wait(0.01):
                    begin = time.perf_counter()
                    proxy.DescribeProcedure(0)
                    waits.append(time.perf_counter() - begin)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def stops(self) -> None:
        stubborn: list[float] = []
        report("stop of a READY procedure", [self.stop(self.ready()) for _ in range(20)])
        for _ in range(3):
            pid = self.ready()
            start(self.proxy, pid, stubborn=True)
            time.sleep(0.1)
            stubborn.append(self.stop(pid) - 2.0)
        report("stop of a stubborn script, beyond the grace", stubborn)


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; {os.cpu_count()} CPUs; PyTango {tango.__version__}")
    with folder() as place:
        script = place / "load.py"
        script.write_text(SCRIPT)
        with controller(place) as (proxy, pid):
            time.sleep(1.0)
            bench = Bench(proxy, pid, script, address(proxy))
            bench.stops()
            bench.memory()
            bench.output()
            bench.flood(1)
            bench.flood(10)


if __name__ == "__main__":
    main()
