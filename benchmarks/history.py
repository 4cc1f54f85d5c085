"""What a long history costs, and how far it is behind what was announced."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import tango
from measuring import Watcher, address, controller, create, folder, report, start

from ska_oso_oet.history.backlog import Rows
from ska_oso_oet.history.database import HistoryDatabase, parse_url
from ska_oso_oet.history.rows import procedure_row
from ska_oso_oet.history.store import HistoryStore, Run
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.history.rows import Row

PROCEDURES = 10_000
EVENTS_EACH = 13
N = 100
SCRIPT = """
from pubsub import pub

def init(subarray_id):
    pass

def main(events=0):
    for number in range(events):
        pub.sendMessage("user.script.announce", msg_src="flood", msg=f"{number} " + "x" * 100)
"""
LIFE = (ProcedureState.IDLE, ProcedureState.LOADING, ProcedureState.IDLE, ProcedureState.INITIALISING)
ENDED = (*LIFE, ProcedureState.READY, ProcedureState.RUNNING, ProcedureState.COMPLETE)


def fill(url: str) -> None:
    """Write a history of PROCEDURES that have ended, each with the events of its life and some output."""
    database = HistoryDatabase(parse_url(url))
    database.upgrade()
    store = HistoryStore(database)
    store.recover(time.time(), Run("bench", time.time(), "bench", "0"))
    rows: list[Row] = []
    events: list[Row] = []
    output: list[Row] = []
    lines = json.dumps([{"line": n, "time": 0.0, "stream": "stdout", "text": "y" * 80} for n in range(20)])
    for number in range(1, PROCEDURES + 1):
        arguments = CallArgs(init=ProcedureInput(subarray_id=number % 16))
        script = FileSystemScript(script_uri=f"file:///scripts/observe_{number % 50}.py")
        procedure = Procedure(number, script, arguments, time.time())
        for state in ENDED:
            procedure.advance(state, time.time())
        rows.append(procedure_row(procedure.summary(), "bench"))
        output.append({"procedure_id": number, "last_line": 20, "lines": lines})
        events += [
            {
                "epoch": "bench",
                "seq": number * EVENTS_EACH + n,
                "time": time.time(),
                "topic": "procedure.lifecycle.statechange",
                "request_id": None,
                "procedure_id": number,
                "activity_id": None,
                "state": "IDLE",
            }
            for n in range(EVENTS_EACH)
        ]
    store.write("bench", Rows(procedures=rows, events=events, output=output))
    store.end_run("bench", time.time())
    database.close()


class Site:
    """A controller with its history."""

    def __init__(self, proxy: tango.DeviceProxy, script: Path, database: Path) -> None:
        self.proxy, self.script, self.database = proxy, script, database
        self.watcher = Watcher(proxy)

    def ready(self, subarray: int = 1) -> tuple[float, int]:
        """Create a procedure; returns how long it took until READY was heard, and its id."""
        begin = time.perf_counter()
        command_id = create(self.proxy, self.script, subarray)
        moment, procedure = self.watcher.moment_and_procedure(command_id, "READY")
        return moment - begin, int(procedure["id"])

    def end(self, pid: int) -> None:
        self.proxy.StopProcedure(json.dumps({"procedure_id": pid, "run_abort": False}))
        self.watcher.until(pid, "STOPPED")


@contextlib.contextmanager
def site(place: Path, name: str) -> Iterator[Site]:
    script = place / "bench.py"
    script.write_text(SCRIPT)
    database = place / f"{name}.db"
    with controller(place, OET_HISTORY_URL=f"sqlite:///{database}") as (proxy, _):
        yield Site(proxy, script, database)


def creations(empty: Site, full: Site) -> None:
    """Compare both in turn, so that a machine that becomes slower does so for both."""
    waits: dict[Site, list[float]] = {empty: [], full: []}
    ratios = []
    for number in range(N + 5):
        took = {}
        for each in (empty, full) if number % 2 else (full, empty):
            took[each], pid = each.ready()
            each.end(pid)
        if number >= 5:
            for each, seconds in took.items():
                waits[each].append(seconds)
            ratios.append(took[full] / took[empty])
    floor = report("create → READY, history empty", waits[empty])
    report(f"create → READY, history of {PROCEDURES}", waits[full], floor)
    print(f"{'  full / empty, pair by pair':<44} median {statistics.median(ratios):8.3f}")


def listing(full: Site) -> None:
    def took(argv: list[str]) -> float:
        begin = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begin

    oet = str(Path(sys.executable).with_name("oet"))
    command = [oet, "--device", address(full.proxy), "procedure", "list", "--all", "--limit=50"]
    imports = [sys.executable, "-c", "import tango, typer, rich, pydantic"]
    took(command)
    floor = report("floor: a process that imports tango, typer …", [took(imports) for _ in range(15)])
    report("oet procedure list --all --limit=50", [took(command) for _ in range(15)], floor)
    query = '{"limit": 50}'
    asked = []
    for _ in range(N):
        begin = time.perf_counter()
        full.proxy.GetHistory(query)
        asked.append(time.perf_counter() - begin)
    report("GetHistory, 50 of them", asked)


def delay(full: Site, name: str) -> None:
    """Measure how long after a state was entered another process can read it from the database."""
    behind = []
    with contextlib.closing(sqlite3.connect(full.database, isolation_level=None)) as database:
        for _ in range(N):
            _, pid = full.ready(subarray=2)
            start(full.proxy, pid)
            _, procedure = full.watcher.moment_and_procedure(pid, "COMPLETE")
            entered = procedure["history"]["process_states"][-1][1]
            while database.execute("SELECT state FROM oet_procedures WHERE id = ?", (pid,)).fetchone() != (
                "COMPLETE",
            ):
                time.sleep(0.0005)
            behind.append(time.time() - entered)
    report(name, behind)
    print(f"{'  the longest':<44} {max(behind) * 1e3:.1f} ms")


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.2f}; {os.cpu_count()} CPUs; PyTango {tango.__version__}")
    with folder() as place:
        fill(f"sqlite:///{place / 'full.db'}")
        with site(place, "empty") as empty, site(place, "full") as full:
            time.sleep(2.0)
            creations(empty, full)
            listing(full)
        with site(place, "full") as full:
            time.sleep(1.0)
            delay(full, "announced → durable")
            _, pid = full.ready()
            start(full.proxy, pid, events=20_000_000)
            time.sleep(1.0)
            delay(full, "announced → durable, in a flood of events")
            full.end(pid)


if __name__ == "__main__":
    main()
