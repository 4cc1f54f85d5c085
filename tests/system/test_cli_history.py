"""The history with the `oet` command: looked through, kept over a restart of the controller, and pruned."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.errors import ControllerUnreachable, HistoryUnavailable, OetError, Rejected
from ska_oso_oet.history.queries import HistoryQuery
from ska_oso_oet.procedure.domain import ProcedureState
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.stack_process import StackProcess

GOOD = """
def init(subarray_id=None):
    pass

def main():
    print("done")
"""
FAILING = """
def main():
    raise ValueError("the dish is not there")
"""


@pytest.fixture
def client(own_stack: StackProcess) -> Iterator[OETClient]:
    with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
        yield client


@pytest.fixture
def oet(own_stack: StackProcess, tmp_path: Path) -> Oet:
    return Oet(own_stack.env, tmp_path, good=GOOD, failing=FAILING)


def fill(stack: StackProcess, client: OETClient, oet: Oet) -> list[int]:
    """Run four procedures, two for subarray 2 and two that fail; wait until they are recorded."""
    numbers = [
        client.run(client_script, init=None, timeout=DEADLINE).id
        for client_script in (oet.uris["failing"], oet.uris["failing"])
    ]
    for _ in range(2):
        created = client.create(oet.uris["good"], subarray_id=2)
        client.wait(created.id, {ProcedureState.READY}, DEADLINE)
        client.start(created.id)
        numbers.append(client.wait(created.id, timeout=DEADLINE).id)
    stack.wait_until(lambda: ended(client) == numbers[::-1], "the record of four procedures")
    return numbers


def ended(client: OETClient) -> list[int]:
    query = HistoryQuery(state=[ProcedureState.COMPLETE, ProcedureState.FAILED])
    return [procedure.id for procedure in client.history(query).procedures]


def restart(stack: StackProcess, client: OETClient) -> None:
    """Kill the controller and wait until another one answers."""
    killed = stack.named("OETController")
    killed.kill()
    killed.wait(DEADLINE)

    def answers() -> bool:
        try:
            client.list()
        except OetError:
            return False
        return True

    stack.wait_until(answers, "the restart of the controller")


def ids(document: Any) -> list[int]:
    return [procedure["id"] for procedure in document["procedures"]]


def test_the_history_is_filtered_and_paged(own_stack: StackProcess, client: OETClient, oet: Oet) -> None:
    before = time.time()
    numbers = fill(own_stack, client, oet)
    newest_first = numbers[::-1]
    expected = {
        ("--all",): newest_first,
        ("--state=failed",): newest_first[2:],
        ("--state=FAILED", "--state=COMPLETE"): newest_first,
        ("--subarray=2",): newest_first[:2],
        ("--script=GOOD.py",): newest_first[:2],
        ("--since=1d",): newest_first,
        (f"--since={time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(before + 3600))}",): [],
        ("--all", "--limit=3"): newest_first[:3],
        ("--limit=3", "--page=2"): newest_first[3:],
    }
    for options, found in expected.items():
        code, document = oet.json("procedure", "list", *options)
        assert (code, ids(document)) == (0, found), options
    code, document = oet.json("procedure", "list", "--all", "--limit=3", "--page=2")
    assert {key: document[key] for key in ("total", "page", "limit")} == {"total": 4, "page": 2, "limit": 3}
    assert "pid" in document["procedures"][0]["requester"]

    done = oet("procedure", "list", "--all", "--limit=3")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    header = "ID Script Creation time State Subarray Progress Duration Requester"
    assert " ".join(lines[0]) == header
    assert [int(line[0]) for line in lines[2:5]] == newest_first[:3]
    assert done.stdout.splitlines()[-1] == "1 to 3 of 4, newest first; page 1 of 2"
    assert oet("procedure", "list", "--state=STOPPED").stdout.splitlines()[-1] == "none"
    page = client.history(HistoryQuery(limit=1))
    assert (page.total, page.procedures[0].id) == (4, newest_first[0])


def test_old_procedures_are_known_after_a_restart(
    own_stack: StackProcess, client: OETClient, oet: Oet
) -> None:
    numbers = fill(own_stack, client, oet)
    described = oet.json("procedure", "describe", f"--pid={numbers[0]}")
    restart(own_stack, client)

    assert ids(oet.json("procedure", "list")[1]) == numbers
    assert oet.json("procedure", "describe")[1]["procedure"]["id"] == numbers[-1]
    assert ids(oet.json("procedure", "list", "--all")[1]) == numbers[::-1]
    assert oet.json("procedure", "describe", f"--pid={numbers[0]}") == described
    assert "ValueError: the dish is not there" in oet("procedure", "describe", f"--pid={numbers[0]}").stdout
    assert "done" in oet("procedure", "output", f"--pid={numbers[-1]}").stdout
    code, document = oet.json("procedure", "run", oet.uris["good"])
    assert code == 0
    assert document["procedure"]["id"] > numbers[-1]


def test_pruning(own_stack: StackProcess, client: OETClient, oet: Oet) -> None:
    numbers = fill(own_stack, client, oet)
    for arguments in (["--older-than=90d"], ["--older_than=90d", "--keep=1"]):
        assert oet.json("history", "prune", *arguments) == (0, {"pruned": {"procedures": 0, "activities": 0}})
    done = oet("history", "prune", "--keep=3")
    assert (done.returncode, done.stdout, done.stderr) == (0, "deleted 1 procedure and 0 activities\n", "")
    assert ids(oet.json("procedure", "list", "--all")[1]) == numbers[:0:-1]
    over_http = oet.over_http(own_stack.rest_url)
    done = over_http("history", "prune", "--older-than=0s", "--keep=1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "deleted 2 procedures and 0 activities\n", "")
    assert ids(oet.json("procedure", "list", "--all")[1]) == [numbers[-1]]
    restart(own_stack, client)
    done = oet("procedure", "describe", f"--pid={numbers[0]}", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (3, "OET_NotFound")
    assert oet.json("procedure", "run", oet.uris["good"])[1]["procedure"]["id"] > numbers[-1]


def test_a_database_that_is_away_is_exit_code_6(own_stack: StackProcess, client: OETClient, oet: Oet) -> None:
    with closing(sqlite3.connect(own_stack.data_dir / "history.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert client.run(oet.uris["good"], timeout=DEADLINE).state is ProcedureState.COMPLETE

        def is_away() -> bool:
            try:
                client.history()
            except HistoryUnavailable:
                return True
            except ControllerUnreachable:
                pass
            return False

        own_stack.wait_until(is_away, "the discovery that the database is locked")
        over_http = oet.over_http(own_stack.rest_url)
        away = oet.json("procedure", "list", "--all")
        assert (away[0], away[1]["error"]["code"]) == (6, "OET_HistoryUnavailable")
        code, document = over_http.json("procedure", "list", "--all")
        assert (code, document["error"]["code"]) == (6, "OET_HistoryUnavailable")
        # How many changes wait, at the end of the message, may have grown meanwhile.
        same, _, _ = away[1]["error"]["message"].rpartition(":")
        assert document["error"]["message"].startswith(same)
        refused = httpx.get(f"{own_stack.rest_url}/history")
        assert (refused.status_code, refused.json()["type"]) == (502, "OET_HistoryUnavailable")
        for program in (oet, over_http):
            assert program("history", "prune", "--keep=1", "--timeout=2").returncode == 5
        database.execute("ROLLBACK")
    own_stack.wait_until(lambda: not is_away(), "the return of the database")
    assert ids(oet.json("procedure", "list", "--all")[1]) == [1]


def test_what_cannot_be_pruned_or_listed(stack: StackProcess, tmp_path: Path) -> None:
    oet = Oet(stack.env, tmp_path)
    code, document = oet.json("history", "prune")
    assert (code, document["error"]["code"]) == (2, "OET_InvalidArgument")
    assert "--older-than" in document["error"]["message"]
    with (
        OETClient(f"tango://{stack.tango_host}/{DEFAULT_DEVICE}") as client,
        pytest.raises(OetError) as caught,
    ):
        client.prune_history()
    assert not isinstance(caught.value, Rejected)
