"""Clients on four subarrays while parts are killed, and an oracle that knows what must not happen.

`OET_LOAD=long` (make soak) has 30 clients, four kills of each part and 5 minutes; `OET_LOAD_SEED` is what
the clients throw their dice by.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Final

import psutil
import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, Event, Gap, OETClient
from ska_oso_oet.client.http import HttpClient
from ska_oso_oet.errors import ControllerUnreachable, OetError, Rejected, WaitTimeout
from ska_oso_oet.history.queries import MAX_LIMIT, HistoryQuery
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess

LONG: Final = os.environ.get("OET_LOAD") == "long"
CLIENTS, SECONDS, KILLS = (30, 300.0, 4) if LONG else (8, 25.0, 1)
SEED: Final = int(os.environ.get("OET_LOAD_SEED", "0"))
SUBARRAYS: Final = (1, 2, 3, 4)
DEADLINE: Final = 60.0

# What holds the lock is the script and every process that it has started: the lock is free when all are gone.
SCRIPT: Final = """
import fcntl, os, subprocess, time

def init(subarray_id):
    pass

def main(folder, subarray, seconds):
    lock = os.open(f"{folder}/{subarray}.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 100, 0).decode()
        with open(f"{folder}/violations", "a") as file:
            print(f"process {os.getpid()} runs on subarray {subarray}, which {holder} holds", file=file)
        return
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"process {os.getpid()}".encode(), 0)
    subprocess.Popen(["setsid", "sleep", "600"], pass_fds=[lock])
    time.sleep(seconds)
"""


@dataclass
class Oracle:
    """What clients were told; any thread adds to it."""

    folder: Path
    accepted: set[int] = field(default_factory=set)
    seen_final: dict[int, ProcedureState] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def ended(self, procedure_id: int, state: ProcedureState) -> None:
        before = self.seen_final.setdefault(procedure_id, state)
        if before is not state:
            self.wrong.append(f"procedure {procedure_id} was {before}, and is {state}")
        self.done[state] += 1

    def violations(self) -> list[str]:
        """Everything that must not have happened while it was used."""
        noted = self.folder / "violations"
        return [*self.wrong, *(noted.read_text().splitlines() if noted.exists() else [])]


class User(threading.Thread):
    """Runs scripts, and stops some, until it is told to end."""

    def __init__(self, number: int, connect: Callable[[], OETClient], oracle: Oracle, script: str) -> None:
        super().__init__(name=f"user-{number}")
        self.dice = random.Random(SEED * CLIENTS + number)
        self.connect, self.oracle, self.script = connect, oracle, script
        self.over = threading.Event()

    def run(self) -> None:
        with tango.EnsureOmniThread(), self.connect() as client:
            while not self.over.is_set():
                try:
                    self.observe(client)
                except Rejected:
                    self.oracle.done["refused"] += 1
                    self.over.wait(0.05)
                except ControllerUnreachable:
                    self.oracle.done["away"] += 1
                    self.over.wait(0.2)
                except WaitTimeout as error:
                    self.oracle.wrong.append(f"{self.name}: {error}")
                except OetError as error:
                    self.oracle.wrong.append(f"{self.name}: {type(error).__name__}: {error}")

    def observe(self, client: OETClient) -> None:
        subarray, seconds = self.dice.choice(SUBARRAYS), self.dice.choice((0.0, 0.3, 600.0))
        arguments = CallArgs(
            init=ProcedureInput(subarray_id=subarray),
            main=ProcedureInput(str(self.oracle.folder), subarray, seconds),
        )
        command = PrepareProcessCommand(
            script=FileSystemScript(script_uri=self.script), script_args=arguments
        )
        made = client.create(command)
        self.oracle.accepted.add(made.id)
        ready = client.wait(made.id, {ProcedureState.READY}, DEADLINE)
        if not ready.state.final:
            client.start_or_end(made.id, DEADLINE)
            if seconds > 1.0:
                self.over.wait(0.3)
                self.stop(client, made.id)
        self.oracle.ended(made.id, client.wait(made.id, timeout=DEADLINE).state)

    def stop(self, client: OETClient, procedure_id: int) -> None:
        """Have it ended; a stop is refused for one reason alone."""
        while True:
            try:
                client.stop(procedure_id, run_abort=False, timeout=DEADLINE)
            except ControllerUnreachable:
                self.over.wait(0.2)
                continue
            except Rejected as error:
                # It has ended; with many clients it may have left the list of the newest by now.
                if not client.describe(procedure_id).state.final:
                    self.oracle.wrong.append(f"a stop was refused: {error}")
            return


def fork_server(stack: StackProcess) -> psutil.Process:
    """Find the fork server: beside it, the controller may have workers whose fork server was killed."""
    children = stack.named("OETController").children()
    return next(
        p for p in children if "forkserver" in " ".join(p.cmdline()) and not p.name().startswith("oet-")
    )


def part(stack: StackProcess, name: str) -> psutil.Process:
    """Find the process to be killed; a worker is any that the fork server has forked."""
    if name == "fork server":
        return fork_server(stack)
    if name == "worker":
        return random.choice(fork_server(stack).children())
    return stack.named(name)


PARTS: Final = ("worker", "fork server", "OETRestAdapter", "tango.databaseds")


def kill_parts(stack: StackProcess) -> None:
    """Kill each part so often, spread over the time."""
    pause = threading.Event()
    todo = list(chain.from_iterable(repeat(PARTS, KILLS)))
    for name in todo:
        pause.wait(SECONDS / (len(todo) + 1))
        stack.wait_until(partial(_killed, stack, name), f"there was no {name} to be killed")
    pause.wait(SECONDS / (len(todo) + 1))


def _killed(stack: StackProcess, name: str) -> bool:
    try:
        part(stack, name).kill()
    except (StopIteration, IndexError, ValueError, psutil.Error):
        return False  # it is just being made anew
    return True


def ends_that_were_told(client: OETClient, first_seq: int) -> Counter[int]:
    """Count how often the bus has said of each procedure that it has ended."""
    ends: Counter[int] = Counter()
    with client.events(["procedure.lifecycle.statechange"], since=first_seq) as stream:
        for item in stream.drain():
            assert not isinstance(item, Gap), f"the journal is too short for this test: {item}"
            if isinstance(item, Event) and ProcedureState(item.data["new_state"]).final:
                ends[int(item.procedure_id or 0)] += 1
    return ends


@pytest.fixture(autouse=True)
def _every_event_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stack, which is started after this, forget nothing that the oracle has to count."""
    monkeypatch.setenv("OET_EVENT_JOURNAL_LENGTH", "1000000")


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    return Oracle(tmp_path)


@pytest.mark.timeout(SECONDS + 240)
def test_nothing_is_lost_and_nobody_shares_a_subarray(own_stack: StackProcess, oracle: Oracle) -> None:
    script = oracle.folder / "observe.py"
    script.write_text(SCRIPT)
    device = f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}"

    def connection(number: int) -> Callable[[], OETClient]:
        over_http = number % 4 == 3
        return (lambda: HttpClient(own_stack.rest_url)) if over_http else (lambda: OETClient(device))

    users = [User(number, connection(number), oracle, script.as_uri()) for number in range(CLIENTS)]
    with OETClient(device) as client:
        first_seq = client.events().seq
        for user in users:
            user.start()
        kill_parts(own_stack)
        for user in users:
            user.over.set()
        for user in users:
            user.join(2 * DEADLINE)
            assert not user.is_alive(), f"{user.name} hangs"
        for procedure in client.list():
            if not procedure.state.final:
                client.stop(procedure.id, run_abort=False, timeout=DEADLINE)
        check(client, oracle, first_seq)


def check(client: OETClient, oracle: Oracle, first_seq: int) -> None:
    violations = oracle.violations()
    assert not violations, "\n".join(violations)
    recorded: dict[int, ProcedureState] = {}
    for page in range(1, 100):
        entries = client.history(HistoryQuery(limit=MAX_LIMIT, page=page)).procedures
        recorded |= {entry.id: entry.state for entry in entries}
        if len(entries) < MAX_LIMIT:
            break
    assert oracle.accepted - set(recorded) == set(), "procedures are lost"
    assert {number: state for number, state in recorded.items() if not state.final} == {}
    assert {number: recorded[number] for number in oracle.seen_final} == oracle.seen_final
    ends = ends_that_were_told(client, first_seq)
    assert {number: count for number, count in ends.items() if count != 1} == {}
    assert oracle.accepted - set(ends) == set(), "procedures whose end was not told"
    assert min(oracle.done[state] for state in (ProcedureState.COMPLETE, ProcedureState.STOPPED)) > 0
    print(f"{len(oracle.accepted)} procedures: {dict(oracle.done)}")
