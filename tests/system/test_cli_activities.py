"""`oet activity` and `oet sbd` on a running stack: what a Scheduling Block says is run."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.resources import program
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"

SCRIPT = """
import json
import time

def init(subarray_id, greeting="hello"):
    print(greeting, subarray_id)

def main(sb_json, sbi_id, wait=0, fault=None):
    with open(sb_json) as file:
        print("observing", json.load(file)["sbd_id"], "as", sbi_id, flush=True)
    time.sleep(wait)
    if fault:
        raise ValueError(fault)
"""
STATES = ["REQUESTED", "PREPARED", "RUNNING", "COMPLETE"]


def example(telescope: str, script: str) -> dict[str, Any]:
    """The example of a telescope, with a script that is there; it becomes the next version of its id."""
    document: dict[str, Any] = json.loads((EXAMPLES / f"{telescope}.json").read_text(encoding="utf-8"))
    for activity in document["activities"].values():
        if activity["kind"] == "filesystem":
            activity["path"] = script
    document["sbd_id"] = f"sbd-cli-{telescope}"
    del document["metadata"]["version"]
    return document


class Observatory(Oet):
    """`oet`, with the Scheduling Blocks of a stack."""

    def __init__(self, stack: StackProcess, folder: Path) -> None:
        super().__init__(stack.env, folder, script=SCRIPT)
        files = []
        for telescope in ("mid", "low"):
            files.append(folder / f"{telescope}.json")
            files[-1].write_text(json.dumps(example(telescope, self.uris["script"])), encoding="utf-8")
        code, document = self.json("sbd", "add", *map(str, files))
        assert code == 0, document
        assert document["oda"] == f"directory {stack.data_dir / 'oda'}"
        self.versions = {entry["sbd_id"]: entry["version"] for entry in document["sbds"]}


@pytest.fixture(scope="module")
def observatory(stack: StackProcess, tmp_path_factory: pytest.TempPathFactory) -> Observatory:
    return Observatory(stack, tmp_path_factory.mktemp("observatory"))


@pytest.fixture
def oet(observatory: Observatory, client: OETClient) -> Observatory:
    return observatory


def _args(**kwargs: Any) -> str:
    return "--script_args=" + json.dumps({"main": {"kwargs": kwargs}})


def test_an_activity_runs_to_its_end(oet: Observatory) -> None:
    user = "--script-args=" + json.dumps({"init": {"kwargs": {"greeting": "good evening"}}})
    code, document = oet.json("activity", "run", "allocate", "sbd-cli-mid", user)
    activity = document["activity"]
    assert (code, activity["state"], activity["message"]) == (0, "COMPLETE", None)
    assert [state for state, _ in activity["activity_states"]] == STATES
    assert activity["sbd_version"] == oet.versions["sbd-cli-mid"]
    assert activity["script_args"]["init"]["kwargs"] == {"subarray_id": 1, "greeting": "good evening"}
    done = oet("procedure", "output", f"--pid={activity['procedure_id']}")
    assert [line.partition("| ")[2] for line in done.stdout.splitlines()] == [
        "good evening 1",
        f"observing sbd-cli-mid as {activity['sbi_id']}",
    ]


def test_following_shows_the_activity_and_its_script(oet: Observatory) -> None:
    done = oet("activity", "run", "greet", "sbd-cli-mid")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.partition(" ")[2] for line in done.stdout.splitlines()]
    told = [line.removeprefix("activity ") for line in lines if line.startswith("activity ")]
    assert told == STATES
    assert "state LOADING" in lines
    assert [line for line in lines if line.startswith("stdout  | ") and " observes /" in line]
    header, *_, last = [line for line in done.stdout.splitlines() if line]
    assert " ".join(header.split()) == "ID Activity SB ID Creation Time Procedure ID State"
    assert last.endswith("COMPLETE")


def test_what_is_known_of_an_activity(oet: Observatory) -> None:
    _, document = oet.json("activity", "run", "allocate", "sbd-cli-mid")
    activity = document["activity"]
    assert oet.json("activity", "describe")[1]["activity"] == activity
    assert oet.json("activity", "list")[1]["activities"][-1] == activity
    shown = oet("activity", "describe", f"--aid={activity['id']}").stdout
    words = " ".join(shown.split())
    assert f"activities/{activity['id']} False" in words
    assert f"{activity['sbd_version']} {activity['sbi_id']}" in words
    _, listed = oet.json("sbi", "list", "--sbd-id=sbd-cli-mid", "--limit=1")
    assert listed["sbis"][0]["sbi_id"] == activity["sbi_id"]
    _, shown_sbi = oet.json("sbi", "show", activity["sbi_id"])
    assert shown_sbi["sbi"]["activities"][0]["activity_ref"] == "allocate"


def test_it_may_not_be_followed(oet: Observatory, client: OETClient) -> None:
    code, document = oet.json("activity", "run", "allocate", "sbd-cli-mid", "--listen=False")
    assert code == 0
    assert document["activity"]["procedure_id"] is not None
    assert client.wait_activity(document["activity"]["id"], timeout=DEADLINE).state == "COMPLETE"


def test_a_prepared_activity_waits_for_its_procedure_to_be_started(oet: Observatory) -> None:
    code, document = oet.json("activity", "run", "allocate", "sbd-cli-mid", "--prepare-only=True")
    activity = document["activity"]
    assert (code, activity["state"], activity["prepare_only"]) == (0, "PREPARED", True)
    code, document = oet.json("procedure", "start", f"--pid={activity['procedure_id']}")
    assert (code, document["procedure"]["state"]) == (0, "COMPLETE")
    _, document = oet.json("activity", "describe", f"--aid={activity['id']}")
    assert [state for state, _ in document["activity"]["activity_states"]] == STATES


# -------------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["greet", "sbd-none"], "the ODA has no SBDefinition sbd-none"),
        (["greet", "sbd-cli-mid", "--sbd-version=99"], "has no version 99"),
        (["fly", "sbd-cli-mid"], "no activity 'fly'"),
        (["allocate", "sbd-cli-low"], "is for ska_low, and this OET controls skamid"),
        (["greet", "sbd-cli-mid", _args(colour="red")], "unexpected keyword argument 'colour'"),
        (["allocate", "sbd-cli-mid", _args(fault="no dish")], "ValueError: no dish"),
        (["greet", "sbd-cli-mid", "--create-env"], "create_env is for scripts from git"),
    ],
)
def test_a_failed_activity_says_why(
    oet: Observatory, client: OETClient, arguments: list[str], reason: str
) -> None:
    done = oet("activity", "run", *arguments)
    activity = client.describe_activity()
    assert (done.returncode, activity.state) == (1, "FAILED")
    assert reason in (activity.message or "")
    assert f"Ended: {activity.message}" in done.stdout
    assert ("Stack trace" in done.stdout) is ("Error: " in (activity.message or ""))


def test_the_reason_is_in_the_document_and_the_description(oet: Observatory) -> None:
    code, document = oet.json("activity", "run", "greet", "sbd-none")
    activity = document["activity"]
    assert (code, activity["state"]) == (1, "FAILED")
    assert activity["message"] == "the ODA has no SBDefinition sbd-none"
    assert f"Ended: {activity['message']}" in oet("activity", "describe", f"--aid={activity['id']}").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["run", "greet", "sbd-cli-mid", "--script_args={"], 2, "OET_InvalidArgument"),
        (["run", "greet", "sbd-cli-mid", '--script_args={"init": {"args": [1]}}'], 2, "OET_InvalidArgument"),
        (["run", "greet", "sbd-cli-mid", _args(sb_json="x")], 2, "OET_InvalidArgument"),
        (["describe", "--aid=4711"], 3, "OET_NotFound"),
    ],
)
def test_a_refusal_is_one_document_and_a_code(
    oet: Observatory, arguments: list[str], code: int, reason: str
) -> None:
    found, document = oet.json("activity", *arguments)
    assert (found, document["error"]["code"]) == (code, reason)
    assert document["error"]["message"]


def test_a_stop_of_the_procedure_stops_the_activity(oet: Observatory, client: OETClient) -> None:
    with client.events(["activity.lifecycle.running"]) as running:
        following = oet.start("activity", "run", "allocate", "sbd-cli-mid", _args(wait=600), "--json")
        assert running.get(DEADLINE) is not None
    procedure_id = client.describe_activity().procedure_id
    code, document = oet.json("procedure", "stop", f"--pid={procedure_id}", "--run_abort=False")
    assert (code, document["procedure"]["state"]) == (0, "STOPPED")
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert (following.returncode, stderr) == (4, "")
    assert json.loads(stdout)["activity"]["state"] == "STOPPED"


def test_ctrl_c_stops_the_following_and_not_the_activity(oet: Observatory, client: OETClient) -> None:
    with client.events(["activity.lifecycle.running"]) as running:
        following = oet.start("activity", "run", "allocate", "sbd-cli-mid", _args(wait=600), "--json")
        assert running.get(DEADLINE) is not None
    number = client.describe_activity().id
    following.send_signal(signal.SIGINT)
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert (following.returncode, stderr) == (130, "")
    document = json.loads(stdout)
    assert f"activity {number} goes on" in document["error"]["message"]
    assert document["activity_id"] == number
    assert client.describe_activity(number).state == "RUNNING"


def test_time_runs_out_and_the_activity_goes_on(oet: Observatory, client: OETClient) -> None:
    code, document = oet.json("activity", "run", "allocate", "sbd-cli-mid", _args(wait=600), "--timeout=2")
    assert (code, document["error"]["code"]) == (5, "OET_Timeout")
    assert not client.describe_activity(document["activity_id"]).state.final


# -------------------------------------------------------------------- the other telescope
def test_a_stack_for_ska_low(
    start_stack: Callable[..., StackProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKA_TELESCOPE", "skalow")
    stack = start_stack([program("oet"), "up", "--port", "0", "--data-dir", str(tmp_path / "data")])
    stack.wait_ready()
    oet = Observatory(stack, tmp_path)
    for name in ("allocate", "observe"):
        code, document = oet.json("activity", "run", name, "sbd-cli-low")
        assert (code, document["activity"]["state"]) == (0, "COMPLETE"), document
        assert document["activity"]["script_args"]["init"]["kwargs"] == {"subarray_id": 2}
    code, document = oet.json("activity", "run", "greet", "sbd-cli-mid")
    assert (code, document["activity"]["state"]) == (1, "FAILED")
    assert "is for ska_mid, and this OET controls skalow" in document["activity"]["message"]
