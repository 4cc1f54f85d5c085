"""A controller that is killed, and the one that comes after it, on a real stack."""

from __future__ import annotations

import json
import platform
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.errors import OetError
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import EmbeddedStringScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

    from ska_oso_oet.client.inbox import Connection
    from tests.system.stack_process import StackProcess

DEADLINE = 60.0
GOOD = EmbeddedStringScript(script_source="def main():\n    print('done')\n", script_name="good")
ENDLESS = EmbeddedStringScript(
    script_source="import time\n"
    "def main():\n"
    "    print('begun', flush=True)\n"
    "    while True: time.sleep(0.05)\n",
    script_name="endless",
)


@pytest.fixture
def client(own_stack: StackProcess) -> Iterator[OETClient]:
    with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
        yield client


def link_of(client: OETClient) -> Connection:
    controller = client._controller
    assert isinstance(controller, TangoController)
    return controller.link


def history(client: OETClient, **query: object) -> HistoryPage:
    return client.history(HistoryQuery.parse(query))


def kill_controller(stack: StackProcess, client: OETClient) -> None:
    """Kill the controller and wait until its successor answers."""
    epoch = json.loads(link_of(client).read("procedures"))["epoch"]
    stack.named("OETController").kill()

    def restarted() -> bool:
        try:
            return bool(json.loads(link_of(client).read("procedures"))["epoch"] != epoch)
        except OetError:
            return False

    stack.wait_until(restarted, "the restart of the controller")


def temporary_files_of(controller: psutil.Process) -> Path:
    """Find the directory that a controller holds for its temporary files."""
    held = [entry.readlink() for entry in Path(f"/proc/{controller.pid}/fd").iterdir()]
    (found,) = {path for path in held if path.name.startswith("oet-run-")}
    return found


def test_what_was_live_is_recorded_and_announced_as_lost(own_stack: StackProcess, client: OETClient) -> None:
    done = client.run(GOOD, timeout=DEADLINE)
    arguments = CallArgs(init=ProcedureInput())
    created = client.create(PrepareProcessCommand(script=ENDLESS, script_args=arguments))
    client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    client.start(created.id)
    client.wait(created.id, {ProcedureState.RUNNING}, DEADLINE)
    own_stack.wait_until(lambda: "begun" in str(client.output(created.id)), "its first line")
    own_stack.wait_until(lambda: history(client, state="RUNNING").total == 1, "its record")

    temporary = temporary_files_of(own_stack.named("OETController"))
    kill_controller(own_stack, client)

    lost = client.describe(created.id)
    assert lost.state is ProcedureState.FAILED
    assert lost.exit is not None
    assert lost.exit.cause == "controller lost"
    events = json.loads(link_of(client).command("GetEvents", "{}"))["events"]
    assert [(event["topic"], event["request_id"]) for event in events[:2]] == [
        ("procedure.lifecycle.statechange", created.command_id),
        ("procedure.lifecycle.failed", created.command_id),
    ]
    assert client.describe(done.id) == done
    assert [procedure.id for procedure in client.list()] == [done.id, lost.id]
    assert client.describe() == lost
    assert list(link_of(client).read("lrcFinished") or ()) == []

    own_stack.wait_until(lambda: not temporary.exists(), "the end of its temporary files")

    again = client.run(GOOD, timeout=DEADLINE)
    assert again.id > created.id
    own_stack.wait_until(lambda: history(client, state="COMPLETE").total == 2, "the record of the third")
    entries = history(client).procedures
    assert [entry.state for entry in entries] == ["COMPLETE", "FAILED", "COMPLETE"]
    assert all(platform.node() in (entry.requester or "") for entry in entries)
    assert entries[0].epoch != entries[1].epoch == entries[2].epoch


def test_a_clean_stop_loses_nothing(own_stack: StackProcess, client: OETClient) -> None:
    created = client.create(PrepareProcessCommand(script=ENDLESS))
    client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    client.start(created.id)
    client.wait(created.id, {ProcedureState.RUNNING}, DEADLINE)
    assert own_stack.stop() == 0
    with sqlite3.connect(own_stack.data_dir / "history.db") as connection:
        (summary,) = connection.execute("SELECT summary FROM oet_procedures").fetchone()
        assert json.loads(summary)["state"] == "STOPPED"
        assert connection.execute("SELECT outcome FROM oet_runs").fetchall() == [("stopped",)]
    connection.close()
