"""The history of a running stack: asked, pruned, and with its database locked under it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.client.inbox import Deadline
from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.client.waiting import wait_for_command
from ska_oso_oet.errors import OetError, ProcedureNotFound
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.ska.control_model import HealthState, ResultCode
from ska_oso_oet.source.script import EmbeddedStringScript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.client.inbox import Connection
    from tests.system.stack_process import StackProcess

DEADLINE = 60.0
GOOD = EmbeddedStringScript(script_source="def main():\n    print('done')\n", script_name="good")


@pytest.fixture
def client(own_stack: StackProcess) -> Iterator[OETClient]:
    with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
        yield client


def link_of(client: OETClient) -> Connection:
    controller = client._controller
    assert isinstance(controller, TangoController)
    return controller.link


def history(client: OETClient, **query: Any) -> Any:
    return json.loads(link_of(client).command("GetHistory", json.dumps(query)))


def health(client: OETClient) -> tuple[int, str]:
    link = link_of(client)
    return int(link.read("healthState")), str(link.read("healthInfo"))


def test_procedures_that_have_left_memory_are_still_answered(
    own_stack: StackProcess, client: OETClient
) -> None:
    done = [client.run(GOOD, timeout=DEADLINE) for _ in range(12)]
    assert done[0].id not in [procedure.id for procedure in client.list()]
    assert client.describe(done[0].id) == done[0]
    assert "done" in str(client.output(done[0].id))
    own_stack.wait_until(lambda: history(client, state="COMPLETE")["total"] == 12, "the record of all")
    listed = history(client, script="GOOD", limit=5, page=2)
    assert [entry["id"] for entry in listed["procedures"]] == [done[n].id for n in (6, 5, 4, 3, 2)]

    codes, texts = link_of(client).command("PruneHistory", '{"keep": 10}')
    assert codes[0] == ResultCode.STARTED
    result = wait_for_command(link_of(client), texts[0], Deadline(DEADLINE))
    assert (result.code, result.detail) == (ResultCode.OK, {"procedures": 2, "activities": 0})
    with pytest.raises(ProcedureNotFound):
        client.describe(done[0].id)


def test_an_init_leaves_the_history_as_it_was(own_stack: StackProcess, client: OETClient) -> None:
    done = client.run(GOOD, timeout=DEADLINE)
    tango.DeviceProxy(client.uri).Init()
    client.wait_ready(DEADLINE)
    assert [procedure.id for procedure in client.list()] == [done.id]
    assert client.status()["health_info"] == {}
    assert client.run(GOOD, timeout=DEADLINE).id == done.id + 1


def test_a_locked_database_degrades_the_health_and_stops_nothing(
    own_stack: StackProcess, client: OETClient
) -> None:
    own_stack.wait_until(lambda: health(client)[0] == HealthState.OK, "good health")
    other = sqlite3.connect(own_stack.data_dir / "history.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    done = [client.run(GOOD, timeout=DEADLINE) for _ in range(12)]
    assert {procedure.state for procedure in done} == {ProcedureState.COMPLETE}
    assert client.describe(done[0].id) == done[0]
    own_stack.wait_until(lambda: "database is locked" in health(client)[1], "the message")
    assert health(client)[0] == HealthState.DEGRADED
    with pytest.raises(OetError, match="locked"):
        history(client)
    other.execute("ROLLBACK")
    other.close()
    own_stack.wait_until(lambda: health(client)[0] == HealthState.OK, "good health again")
    assert history(client)["total"] == 12
