"""Two controllers on one history: the second one writes nothing until the first has gone."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.history.database import HistoryDatabase, parse_url
from ska_oso_oet.history.queries import HistoryQuery
from tests.engine.history_rig import DEADLINE, Rig
from tests.engine.postgres_server import PostgresServer
from tests.engine.test_history_faults import wait_for_health, wait_for_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOLD = """
import sys
from ska_oso_oet.history.database import HistoryDatabase, parse_url
database = HistoryDatabase(parse_url(sys.argv[1]))
database.upgrade()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Name a database that nobody has used; its server outlives the controllers of the test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/history.db"
        return
    server = PostgresServer()
    server.require()
    yield server.url()
    server.close()


@pytest.fixture
def start(url: str) -> Iterator[Callable[[str], Rig]]:
    rigs: list[Rig] = []

    def begin(epoch: str) -> Rig:
        rigs.append(Rig(url, epoch))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.close()


both = pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)


def listed(rig: Rig) -> dict[int, str]:
    document: Any = json.loads(rig.history.list(HistoryQuery()))
    return {each["id"]: each["state"] for each in document["procedures"]}


@both
def test_a_second_controller_waits_until_the_first_has_gone(start: Callable[[str], Rig]) -> None:
    first = start("run-1")
    live = first.create().procedure.id
    first.flush()
    second = start("run-2")
    assert "another controller writes to it (" in wait_for_problem(second, " pid ")
    assert not second.recovered
    mine = second.run().procedure.id
    second.dispatch()
    assert mine > 1_000_000_000  # no number that the first could give
    with pytest.raises(HistoryUnavailable, match="another controller"):
        second.history.list(HistoryQuery())
    assert json.loads(second.history.describe_procedure(mine))["state"] == "COMPLETE"
    # Of what the first one has, nothing has been touched.
    assert listed(first) == {live: "READY"}

    first.kill()
    wait_for_health(second)
    second.flush()
    assert [summary.id for summary in second.recovered[0].procedures] == [live]
    assert listed(second) == {mine: "COMPLETE", live: "FAILED"}


@both
def test_the_claim_ends_with_the_process_whatever_ends_it(start: Callable[[str], Rig], url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        rig = start("run-2")
        wait_for_problem(rig, f"pid {holder.pid}")
        holder.kill()
        holder.wait(DEADLINE)
    wait_for_health(rig)
    rig.run()
    rig.flush()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_claim_that_the_server_has_not_yet_ended_is_waited_for(
    start: Callable[[str], Rig], url: str
) -> None:
    database = HistoryDatabase(parse_url(url))
    database.upgrade()
    end = threading.Timer(0.3, database.close)
    end.start()
    rig = start("run-2")
    assert rig.history.health() is None
    assert rig.run().procedure.id == 1
    end.join()
