"""50,000 events at full speed, a stalled consumer, a killed controller: nothing is lost in silence."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.errors import OetError
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.resources import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.stack_process import StackProcess

DEADLINE = 120.0
STALL_SECS = 10.0
TOPIC = "user.script.announce"
SCRIPT = """
from pubsub import pub

def main(first, count):
    for number in range(first, first + count):
        pub.sendMessage("user.script.announce", msg_src="flood", msg=f"{number} " + "x" * 100)
"""


@dataclass
class Told:
    """What a listener was told, in the controller's numbers by epoch and in the script's."""

    epochs: list[str] = field(default_factory=list)
    seen: dict[str, list[int]] = field(default_factory=dict)
    missing: dict[str, list[int]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)

    def take(self, item: dict[str, Any]) -> None:
        kind, epoch = item["kind"], item.get("epoch", "")
        if kind == "NewEpoch":
            assert epoch not in self.epochs, "an epoch is announced once"
            assert item["last_seq"] == self.newest(item["previous"])
        if kind in {"NewEpoch", "Event", "Gap"} and epoch not in self.epochs:
            self.epochs.append(epoch)
        if kind == "Gap":
            self.missing.setdefault(epoch, []).extend(range(item["first_seq"], item["last_seq"] + 1))
        elif kind == "Event":
            self.seen.setdefault(epoch, []).append(item["seq"])
            if item["topic"] == TOPIC:
                self.numbers.append(int(item["data"]["msg"].split()[0]))

    def newest(self, epoch: str) -> int:
        return max([0, *self.seen.get(epoch, [])[-1:], *self.missing.get(epoch, [])[-1:]])

    def check(self, epoch: str) -> None:
        """Check that every number up to the newest was told once, as an event or as a part of a gap."""
        seen, missing = self.seen.get(epoch, []), self.missing.get(epoch, [])
        assert seen == sorted(seen), "in order"
        assert sorted([*seen, *missing]) == list(range(1, self.newest(epoch) + 1))


class Listener:
    """`oet listen --json` from the first event on, as a process that can be stalled."""

    def __init__(self, stack: StackProcess, file: Path, *options: str) -> None:
        self._file = file
        with file.open("wb") as output:
            argv = [program("oet"), *options, "listen", "--json", "--since=0"]
            self.process = subprocess.Popen(argv, env=stack.env, stdout=output, stderr=subprocess.STDOUT)

    def told(self) -> Told:
        told = Told()
        whole, _, _ = self._file.read_text().rpartition("\n")
        for line in whole.splitlines():
            told.take(json.loads(line))
        return told

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def client(own_stack: StackProcess) -> Iterator[OETClient]:
    with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
        yield client


@pytest.fixture
def listeners(own_stack: StackProcess, tmp_path: Path) -> Iterator[list[Listener]]:
    """One to be stalled, a brisk one and, where there is an HTTP API, one that uses it."""
    ways = {"stalled": (), "brisk": (), "http": ("--server-url", own_stack.rest_url)}
    if not own_stack.rest_url:
        del ways["http"]
    started = [Listener(own_stack, tmp_path / f"{name}.jsonl", *way) for name, way in ways.items()]
    yield started
    for listener in started:
        listener.close()


def newest(client: OETClient) -> tuple[str, int]:
    page = client._controller.read_events(EventsQuery(since=0, limit=1))
    return page.epoch, page.last_seq


def flood(client: OETClient, script: Path, first: int, count: int) -> int:
    created = client.create(script.as_uri())
    client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    client.start(created.id, first, count)
    return created.id


def kill_controller(stack: StackProcess, client: OETClient) -> str:
    """Kill it, wait for its successor and return that one's epoch."""
    epoch, _ = newest(client)
    stack.named("OETController").kill()

    def restarted() -> bool:
        try:
            return newest(client)[0] != epoch
        except OetError:
            return False

    stack.wait_until(restarted, "the restart of the controller")
    return newest(client)[0]


def test_each_event_is_told_once_or_a_gap_is(
    own_stack: StackProcess, client: OETClient, listeners: list[Listener], tmp_path: Path
) -> None:
    script = tmp_path / "flood.py"
    script.write_text(SCRIPT)
    stalled = listeners[0]
    first_epoch, _ = newest(client)
    client.run(script.as_uri(), 0, 10, timeout=DEADLINE)
    for listener in listeners:
        own_stack.wait_until(lambda heard=listener: len(heard.told().numbers) == 10, "the first events")  # type: ignore[misc]

    stalled.process.send_signal(signal.SIGSTOP)
    # Killed in the middle of the first flood; the second one is whole.
    flood(client, script, 10, 25_000)
    own_stack.wait_until(lambda: newest(client)[1] > 10_000, "10,000 events")
    second_epoch = kill_controller(own_stack, client)
    number = flood(client, script, 25_010, 25_000)
    assert client.wait(number, timeout=DEADLINE).state is ProcedureState.COMPLETE
    threading.Event().wait(STALL_SECS)  # nothing happens for which it could be waited
    stalled.process.send_signal(signal.SIGCONT)

    _, last_seq = newest(client)
    assert last_seq > 25_000
    for listener in listeners:
        own_stack.wait_until(
            lambda heard=listener: heard.told().newest(second_epoch) >= last_seq,  # type: ignore[misc]
            "the end of the flood",
        )
        told = listener.told()
        assert told.epochs == [first_epoch, second_epoch]
        told.check(first_epoch)
        told.check(second_epoch)
        assert len(set(told.numbers)) == len(told.numbers)


def _database_answers(stack: StackProcess) -> bool:
    host, _, port = stack.tango_host.partition(":")
    try:
        tango.Database(host, int(port))
    except tango.DevFailed:
        return False
    return True


def test_a_restart_of_the_database_costs_no_event(
    own_stack: StackProcess, client: OETClient, tmp_path: Path
) -> None:
    script = tmp_path / "flood.py"
    script.write_text(SCRIPT)
    listener = Listener(own_stack, tmp_path / "listener.jsonl")
    try:
        client.run(script.as_uri(), 0, 10, timeout=DEADLINE)
        own_stack.wait_until(lambda: len(listener.told().numbers) == 10, "the first events")
        database = own_stack.named("tango.databaseds")
        database.kill()
        client.run(script.as_uri(), 10, 2000, timeout=DEADLINE)
        own_stack.wait_until(lambda: _database_answers(own_stack), "the return of the database")
        client.run(script.as_uri(), 2010, 2000, timeout=DEADLINE)
        own_stack.wait_until(lambda: 4009 in listener.told().numbers, "the last event")
        told = listener.told()
    finally:
        listener.close()
    assert told.numbers == list(range(4010))
    assert (len(told.epochs), told.missing) == (1, {})
