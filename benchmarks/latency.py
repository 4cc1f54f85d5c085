"""How long an operator waits: from a command to the event that tells of its effect.

Floors are measured in the same run: a bare Tango event, a bare Tango command and a bare fork.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import time
from pathlib import Path

import tango
from measuring import Watcher, controller, cpu_seconds, create, folder, report, server, start

N = 50
SCRIPT = """
import time
from pubsub import pub

def init(subarray_id):
    pass

def main(events=0, wait=0.0):
    for _ in range(events):
        time.sleep(0.01)
        pub.sendMessage("user.script.announce", msg_src="bench", msg=repr(time.time()))
    time.sleep(wait)
"""


def floors() -> tuple[float, float, float]:
    bare = [sys.executable, str(Path(__file__).with_name("bare_device.py"))]
    with server(bare, "bench/bare/1") as (proxy, _):
        arrived: queue.Queue[float] = queue.Queue()
        proxy.subscribe_event(
            "text", tango.EventType.CHANGE_EVENT, lambda _: arrived.put(time.perf_counter())
        )
        arrived.get(timeout=5)
        text = "x" * 300
        commands, events = [], []
        for _ in range(N):
            time.sleep(0.01)
            begin = time.perf_counter()
            proxy.Echo(text)
            commands.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            proxy.Push(text)
            events.append(arrived.get(timeout=5) - begin)
    forks = []
    for _ in range(N):
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        forks.append(time.perf_counter() - begin)
    return (
        report("floor: a bare command", commands),
        report("floor: a command that pushes a bare event", events),
        report("floor: a bare fork and its end", forks),
    )


def procedures(proxy: tango.DeviceProxy, script: Path, floor: float) -> int:
    watcher = Watcher(proxy)
    ready, complete, stopped = [], [], []
    pid = 0
    for _ in range(N):
        pid += 1
        begin = time.perf_counter()
        create(proxy, script)
        ready.append(watcher.until(pid, "READY") - begin)
        begin = time.perf_counter()
        start(proxy, pid)
        complete.append(watcher.until(pid, "COMPLETE") - begin)
        pid += 1
        create(proxy, script)
        watcher.until(pid, "READY")
        start(proxy, pid, wait=60)
        time.sleep(0.02)
        begin = time.perf_counter()
        proxy.StopProcedure(json.dumps({"procedure_id": pid, "run_abort": False}))
        stopped.append(watcher.until(pid, "STOPPED") - begin)
    report("create → READY event", ready, floor)
    report("start → COMPLETE event", complete, floor)
    report("stop → STOPPED event", stopped, floor)
    tens = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(10):
            create(proxy, script)
        tens.append(watcher.until_all(range(pid + 1, pid + 11), "READY") - begin)
        for number in range(1, 11):
            proxy.StopProcedure(json.dumps({"procedure_id": pid + number, "run_abort": False}))
        watcher.until_all(range(pid + 1, pid + 11), "STOPPED")
        pid += 10
    report("ten creates at once → last READY event", tens)
    return pid


def publishing(proxy: tango.DeviceProxy, script: Path, pid: int, floor: float) -> None:
    latencies: queue.Queue[float] = queue.Queue()

    def take(event: tango.EventData) -> None:
        now = time.time()
        if not event.err and '"user.script.announce"' in event.attr_value.value:
            latencies.put(now - float(json.loads(event.attr_value.value)["data"]["msg"]))

    proxy.subscribe_event("event", tango.EventType.CHANGE_EVENT, take)
    watcher = Watcher(proxy)
    create(proxy, script)
    watcher.until(pid + 1, "READY")
    start(proxy, pid + 1, events=200)
    watcher.until(pid + 1, "COMPLETE")
    time.sleep(0.2)
    report(
        "script publish → subscriber event, 100/s", [latencies.get() for _ in range(latencies.qsize())], floor
    )


def idle(pid: int) -> None:
    before, begin = cpu_seconds(pid), time.perf_counter()
    time.sleep(20)
    share = (cpu_seconds(pid) - before) / (time.perf_counter() - begin)
    print(f"{'idle CPU':<44} {share * 100:.2f} % of a core")


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; {os.cpu_count()} CPUs; PyTango {tango.__version__}")
    _, event, _ = floors()
    with folder() as place:
        script = place / "bench.py"
        script.write_text(SCRIPT)
        with controller(place) as (proxy, server_pid):
            time.sleep(1.0)
            pid = procedures(proxy, script, event)
            publishing(proxy, script, pid, event)
            time.sleep(2.0)
            idle(server_pid)


if __name__ == "__main__":
    main()
