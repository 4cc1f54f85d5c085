"""Events from a script to OETClient.events(): how many in a second with none lost, and how late each is."""

from __future__ import annotations

import os
import queue
import sys
import time
from pathlib import Path

# As the `oet` program and the servers do; before Tango is loaded.
from ska_oso_oet.tango_environment import raise_event_buffers

raise_event_buffers(os.environ)

import tango  # noqa: E402
from measuring import address, controller, folder, report, server  # noqa: E402

from ska_oso_oet.client import OETClient  # noqa: E402
from ska_oso_oet.client.events import Event, Gap  # noqa: E402
from ska_oso_oet.procedure.domain import ProcedureState  # noqa: E402

EVENTS = 50_000
LATENCIES = 1000
TOPIC = "user.script.announce"
SCRIPT = """
import time
from pubsub import pub

def main(count, pause):
    for number in range(count):
        if pause:
            time.sleep(pause)
        pub.sendMessage("user.script.announce", msg_src="bench", msg=f"{number} {time.time()} " + "x" * 100)
"""


def begin(client: OETClient, script: Path, count: int, pause: float) -> int:
    created = client.create(script.as_uri())
    client.wait(created.id, {ProcedureState.READY}, 30.0)
    client.start(created.id, count, pause)
    return created.id


def flood(client: OETClient, script: Path) -> None:
    numbers: list[int] = []
    gaps = 0
    with client.events([TOPIC]) as stream:
        procedure_id = begin(client, script, EVENTS, 0.0)
        first = 0.0
        while not numbers or numbers[-1] < EVENTS - 1:
            item = stream.get(30.0)
            assert item is not None
            if isinstance(item, Event):
                first = first or time.perf_counter()
                numbers.append(int(item.data["msg"].split()[0]))
            gaps += isinstance(item, Gap)
    took = time.perf_counter() - first
    client.wait(procedure_id, {ProcedureState.COMPLETE}, 30.0)
    whole = numbers == list(range(EVENTS)) and not gaps
    name = f"{EVENTS} events, script → OETClient.events()"
    print(f"{name:<44} {EVENTS / took:.0f} events/s; each once: {whole}")


def latency(client: OETClient, script: Path) -> tuple[list[float], int]:
    waits, size = [], 0
    with client.events([TOPIC]) as stream:
        procedure_id = begin(client, script, LATENCIES, 0.01)
        while len(waits) < LATENCIES:
            item = stream.get(30.0)
            now = time.time()
            assert isinstance(item, Event), item
            waits.append(now - float(item.data["msg"].split()[1]))
            size = len(str(item))
    client.wait(procedure_id, {ProcedureState.COMPLETE}, 30.0)
    return waits, size


def bare(size: int) -> list[float]:
    """Measure what Tango itself needs for an event of this size."""
    program = [sys.executable, str(Path(__file__).with_name("bare_device.py"))]
    with server(program, "bench/bare/1") as (proxy, _):
        arrived: queue.Queue[float] = queue.Queue()

        def take(event: tango.EventData) -> None:
            now = time.time()
            if not event.err and event.attr_value.value:
                arrived.put(now - float(event.attr_value.value.split()[0]))

        proxy.subscribe_event("text", tango.EventType.CHANGE_EVENT, take)
        time.sleep(1.0)
        proxy.Stream([LATENCIES, size])
        return [arrived.get(timeout=30.0) for _ in range(LATENCIES)]


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; {os.cpu_count()} CPUs; PyTango {tango.__version__}")
    with folder() as place:
        script = place / "bench.py"
        script.write_text(SCRIPT)
        with controller(place) as (proxy, _), OETClient(address(proxy)) as client:
            time.sleep(1.0)
            waits, size = latency(client, script)
            floor = report("floor: a bare Tango event of the same size", bare(size))
            report("script publish → OETClient.events(), 100/s", waits, floor)
            for _ in range(3):
                flood(client, script)


if __name__ == "__main__":
    main()
