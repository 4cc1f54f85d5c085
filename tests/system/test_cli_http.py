"""The `oet` command over HTTP: what it says and how it ends is what it says and how it ends over Tango."""

from __future__ import annotations

import json
import re
import textwrap
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.embedded import rest_is_installed
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from tests.system.stack_process import StackProcess

pytestmark = pytest.mark.skipif(not rest_is_installed(), reason="the extra rest is not installed")

GOOD = """
def init(subarray_id, colour="grey"):
    print("init", subarray_id, colour)

def main(*args, **kwargs):
    print("main", args, kwargs)
"""
FAILING = """
def main():
    raise ValueError("the dish is not there")
"""
PATIENT = """
import os, time
def main(path):
    print("begun", flush=True)
    while not os.path.exists(path):
        time.sleep(0.02)
    print("seen", flush=True)
"""
# An interpreter that reads this finds the named distributions, and no other.
ONLY = """\
    from importlib.machinery import PathFinder
    ALLOWED = {allowed!r}
    find = PathFinder.find_spec
    PathFinder.find_spec = lambda name, path=None, target=None: (
        found
        if (found := find(name, path, target)) is None
        or "site-packages" not in str(found.origin or found.submodule_search_locations)
        or name.partition(".")[0] in ALLOWED
        else None
    )
"""
MID = Path(__file__).parent.parent / "data" / "sbd" / "mid.json"
RECORD = Path(__file__).parents[2] / "docs" / "decisions" / "0051-a-client-without-tango.md"


@pytest.fixture
def tango(stack: StackProcess, client: OETClient, tmp_path: Path) -> Oet:
    return Oet(stack.env, tmp_path, good=GOOD, failing=FAILING, patient=PATIENT)


@pytest.fixture
def oet(stack: StackProcess, tango: Oet) -> Oet:
    return tango.over_http(stack.rest_url)


def shape(text: str) -> list[str]:
    """Leave out what two runs need not have in common: times, numbers, widths, passing states."""
    lines = (re.sub(r"\d+", "N", " ".join(line.split())) for line in text.splitlines())
    passing = ("CREATING", "IDLE", "LOADING", "INITIALISING", "READY", "RUNNING", "REQUESTED")
    return sorted({line for line in lines if "─" not in line and not line.endswith(passing)})


SESSIONS: dict[str, tuple[list[str], int]] = {
    "run": (["procedure", "run", "good", "1", "--x=[1, 2]", "--init.colour=red"], 0),
    "failing": (["procedure", "run", "failing", "--subarray_id=none"], 1),
    "output": (["procedure", "output", "--follow"], 0),
    "unknown": (["procedure", "describe", "--pid=471100"], 3),
    "start-unknown": (["procedure", "start", "--pid=471100"], 3),
    "stop-unknown": (["procedure", "stop", "--pid=471100"], 3),
    "stop-none": (["procedure", "stop"], 3),
    "start-none": (["procedure", "start"], 3),
    "no-script": (["procedure", "run", "good.py"], 2),
    "missing-script": (["procedure", "run", "file:///nowhere/x.py"], 3),
    "activity": (["activity", "run", "greet", "no-such-sbd"], 1),
    "activity-unknown": (["activity", "describe", "--aid=471100"], 3),
    "sbds": (["sbd", "list"], 0),
    "sbd-unknown": (["sbd", "show", "sbd-none", "--version=2"], 3),
    "sbd-no-id": (["sbd", "show", ".sbd"], 2),
    "sbd-add": (["sbd", "add", str(MID), str(MID)], 0),
    "sbis": (["sbi", "list", "--sbd-id=sbd-none", "--limit=3"], 0),
    "history": (["procedure", "list", "--all", "--state=failed", "--state=STOPPED", "--limit=3"], 0),
    "history-none": (["procedure", "list", "--script=no such", "--since=7d", "--subarray=5", "--page=2"], 0),
    "history-usage": (["procedure", "list", "--since=yesterday"], 2),
    "prune": (["history", "prune", "--older-than=1000w", "--keep=9223372036854775807"], 0),
    "prune-usage": (["history", "prune"], 2),
    "no-time": (["procedure", "run", "patient", "--path=/nowhere/at/all", "--timeout=2"], 5),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_the_same_said_and_the_same_exit_code(oet: Oet, tango: Oet, client: OETClient, name: str) -> None:
    words, code = SESSIONS[name]
    arguments = [oet.uris.get(word, word) for word in words]
    said = []
    for program in (tango, oet):
        done = program(*arguments)
        assert done.returncode == code, done.stderr
        said.append((shape(done.stdout), shape(done.stderr)))
        for procedure in client.list():
            if not procedure.state.final:
                client.stop(procedure.id, run_abort=False, timeout=DEADLINE)
    assert said[0] == said[1]


@pytest.mark.parametrize("name", [name for name in SESSIONS if name not in {"output", "no-time"}])
def test_the_same_document(oet: Oet, tango: Oet, name: str) -> None:
    words, code = SESSIONS[name]
    arguments = [oet.uris.get(word, word) for word in words]
    documents = []
    for program in (tango, oet):
        found, document = program.json(*arguments)
        assert found == code
        documents.append(_types(document))
    assert documents[0] == documents[1]


def _types(value: Any) -> Any:
    """Keep the shape of a document and its texts without numbers."""
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_types(item) for item in value]
    return re.sub(r"[\d.]+", "N", value) if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize("abort", ["true", "false"])
def test_a_stop_is_the_same(oet: Oet, tango: Oet, abort: str) -> None:
    """The stack of these tests has no telescope, so that there is no subarray to abort."""
    said = []
    for program in (tango, oet):
        numbers = [
            program.json("procedure", "create", program.uris["good"], "--listen")[1]["procedure"]["id"]
            for _ in range(2)
        ]
        code, document = program.json("procedure", "stop", f"--pid={numbers[0]}", f"--run_abort={abort}")
        result = document["result"]
        assert (result["procedure_id"], document["procedure"]["state"]) == (numbers[0], "STOPPED")
        assert ("abort" in result) == (abort == "true")
        done = program("procedure", "stop", f"--pid={numbers[1]}", f"--run_abort={abort}")
        assert done.returncode == code
        said.append((code, _types(document), shape(done.stdout), shape(done.stderr)))
    assert said[0] == said[1]
    assert said[0][0] == (1 if abort == "true" else 0)


def test_the_history_is_the_same(oet: Oet, tango: Oet, client: OETClient) -> None:
    number = oet.json("procedure", "run", oet.uris["good"])[1]["procedure"]["id"]
    client.prune_history(older_than=1e9)  # what has happened is written before something is deleted
    code, document = oet.json("procedure", "list", "--all", "--limit=5")
    assert (code, document["procedures"][0]["id"]) == (0, number)
    assert (code, document) == tango.json("procedure", "list", "--all", "--limit=5")


def test_start_may_not_follow_and_arguments_arrive(oet: Oet) -> None:
    code, document = oet.json("procedure", "create", oet.uris["good"], "--colour=blue", "--listen")
    assert (code, document["procedure"]["state"]) == (0, "READY")
    number = document["procedure"]["id"]
    code, document = oet.json("procedure", "start", f"--pid={number}", "bob", "--simulate=false")
    assert (code, document["procedure"]["state"]) == (0, "COMPLETE")
    assert document["procedure"]["script_args"] == {
        "init": {"args": [], "kwargs": {"colour": "blue", "subarray_id": 1}},
        "main": {"args": ["bob"], "kwargs": {"simulate": False}},
    }


def test_listening(oet: Oet, tango: Oet) -> None:
    number = oet.json("procedure", "run", oet.uris["good"])[1]["procedure"]["id"]
    arguments = ["listen", "--since=0", "--topic=procedure.lifecycle", "--timeout=2", "--json"]
    heard = []
    for program in (tango, oet):
        done = program(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        heard.append([json.loads(line) for line in done.stdout.splitlines()])
    assert heard[0] == heard[1]
    assert [str(number), "COMPLETE"] in [
        [each["msg_src"], each["data"].get("new_state")] for each in heard[1]
    ]


# -------------------------------------------------------------------- which server
def test_the_option_wins_over_the_environment(oet: Oet, stack: StackProcess) -> None:
    nowhere = "http://127.0.0.1:9/api/v1.0"
    root = stack.rest_url.removesuffix("/api/v1.0")
    for place in (
        ["procedure", "list", f"--server-url={root}"],
        [f"--server_url={root}", "procedure", "list"],
    ):
        assert oet(*place, OET_REST_URI=nowhere).returncode == 0
    done = oet("procedure", "list", OET_REST_URI=nowhere)
    assert (done.returncode, done.stdout) == (6, "")
    assert f"nothing answers at {nowhere}" in done.stderr
    device = f"--device=tango://{stack.tango_host}/{DEFAULT_DEVICE}"
    assert oet("procedure", "list", device, OET_REST_URI=nowhere).returncode == 0
    assert oet("procedure", "list", OET_DEVICE="no/such/device").returncode == 0
    done = oet("procedure", "list", device, "--server-url=http://x")
    assert (done.returncode, "only one" in done.stderr) == (2, True)
    code, document = oet.json("procedure", "list", "--server-url=localhost:5000")
    assert (code, document["error"]["code"]) == (2, "OET_InvalidArgument")
    done = oet("procedure", "list", OET_REST_TOKEN_FILE="/nowhere/token")
    assert (done.returncode, "OET_REST_TOKEN_FILE" in done.stderr) == (2, True)


def test_a_wait_outlives_the_server(own_stack: StackProcess, tmp_path: Path) -> None:
    oet = Oet(own_stack.env, tmp_path, patient=PATIENT).over_http(own_stack.rest_url)
    go = tmp_path / "go"
    following = oet.start("procedure", "run", oet.uris["patient"], f"--path={go}", "--subarray_id=none")
    assert following.stdout is not None
    for line in following.stdout:
        if "begun" in line:
            break
    own_stack.named("OETRestAdapter").kill()
    go.touch()
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert following.returncode == 0, stderr
    assert [line for line in stdout.splitlines() if line.endswith("| seen")]
    assert stdout.splitlines()[-2].endswith("COMPLETE")


# -------------------------------------------------------------------- without Tango
def documented() -> set[str]:
    """The distributions that the decision record says a client needs, and what these need."""
    [command] = re.findall(r"^pip install ([a-z ]+)$", RECORD.read_text(), re.MULTILINE)
    wanted = command.split()
    found: set[str] = set()
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.distribution(name).requires or [])
            wanted += [
                need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
            ]
    return found


@pytest.fixture
def lean(oet: Oet, tmp_path: Path) -> dict[str, str]:
    """Variables that leave a Python nothing but the OET and what is documented."""
    names = documented()
    modules = metadata.packages_distributions()
    allowed = {
        module
        for module, owners in modules.items()
        if names & {owner.lower().replace("_", "-") for owner in owners}
    }
    assert "tango" not in allowed
    hook = tmp_path / "lean"
    hook.mkdir()
    source = textwrap.dedent(ONLY.format(allowed=sorted({*allowed, "ska_oso_oet"})))
    (hook / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": str(hook)}


def test_the_documented_packages_are_enough(oet: Oet, lean: dict[str, str]) -> None:
    done = oet("procedure", "run", oet.uris["good"], **lean)
    assert done.returncode == 0, done.stderr
    assert "| main () {}" in done.stdout
    for arguments in (
        ["procedure", "list"],
        ["procedure", "describe"],
        ["procedure", "output", "--follow"],
        ["activity", "list"],
        ["listen", "--since=0", "--timeout=1"],
        ["--version"],
        ["procedure", "run", "--help"],
    ):
        done = oet(*arguments, **lean)
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_without_tango_a_server_must_be_named(oet: Oet, lean: dict[str, str]) -> None:
    done = oet("procedure", "list", **lean, OET_REST_URI="")
    assert (done.returncode, done.stdout) == (6, "")
    assert "tango is not installed: name an HTTP API with --server-url or OET_REST_URI" in done.stderr
