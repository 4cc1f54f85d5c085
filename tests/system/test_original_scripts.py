"""Scripts and Scheduling Blocks that were written for the original run here unchanged: one of each form."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ska_oso_oet.client import DEFAULT_DEVICE
from ska_oso_oet.client.events import Event
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

ORIGINAL: Final = Path(__file__).parents[1] / "data" / "original"
SCRIPTS: Final = ORIGINAL / "scripts"
SB: Final = "/path/to/scheduling_block_123.json"
FORMS: Final[dict[str, tuple[ProcedureInput, ProcedureInput, list[str]]]] = {
    "plain": (ProcedureInput(), ProcedureInput(), ["ran"]),
    "main_made_by_init": (ProcedureInput(subarray_id=3), ProcedureInput("sb.json"), ["subarray 3: sb.json"]),
    "any_arguments": (
        ProcedureInput("hello", verbose=True, subarray_id=1),
        ProcedureInput("bob", simulate=False),
        ["init ('hello',) [('subarray_id', 1), ('verbose', True)]", "main ('bob',) [('simulate', False)]"],
    ),
    "sb_uri": (
        ProcedureInput(subarray_id=1, sb_uri=f"file://{SB}"),
        ProcedureInput(scan_duration=14.0),
        [f"{SB} for 14.0 s"],
    ),
    "events": (ProcedureInput(), ProcedureInput("sbi-1"), []),
    "devices": (ProcedureInput(), ProcedureInput(DEFAULT_DEVICE), ["event True", "scan ids 1 2"]),
}
"""What `init` and `main` are given, and what is written."""
EVENTS: Final = [
    "sb.lifecycle.observation.started",
    "scan.lifecycle.start",
    "scan.lifecycle.end.succeeded",
    "user.script.announce",
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository that has scripts, and says nothing of dependencies."""
    place = tmp_path_factory.mktemp("git") / "ska-oso-scripting.git"
    (place / "scripts").mkdir(parents=True)
    for script in SCRIPTS.glob("*.py"):
        (place / "scripts" / script.name).write_text(script.read_text("utf-8"))
    for command in (
        ["init", "--quiet", "--initial-branch=master"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message=scripts"],
    ):
        subprocess.run(["git", "-C", str(place), *command], check=True)
    return place.as_uri()


def written(client: OETClient, procedure_id: int) -> list[str]:
    lines = client.output(procedure_id)["lines"]
    return [line["text"] for line in lines if line["stream"] == "stdout"]


@pytest.mark.parametrize("name", FORMS)
def test_a_script_of_each_form_runs(name: str, client: OETClient) -> None:
    init, main, said = FORMS[name]
    uri = (SCRIPTS / f"{name}.py").as_uri()
    done = client.run(uri, *main.args, init=init, timeout=DEADLINE, **main.kwargs)
    assert done.state is ProcedureState.COMPLETE, (done.exit, done.history.stacktrace)
    assert written(client, done.id) == said


def test_the_events_of_a_script_are_told(client: OETClient) -> None:
    with client.events(topics=["sb", "scan", "user"]) as events:
        done = client.run((SCRIPTS / "events.py").as_uri(), "sbi-1", timeout=DEADLINE)
        told = []
        for event in events:
            if isinstance(event, Event) and event.procedure_id == done.id:
                told.append(event.topic)
            if told[-1:] == EVENTS[-1:]:
                break
    assert told == EVENTS


def test_a_script_from_git_as_scheduling_blocks_name_it(
    stack: StackProcess, repository: str, tmp_path: Path
) -> None:
    oet = Oet(stack.env, tmp_path)
    options = [f"--git_repo={repository}", "--git_branch=master", "--git_commit=None", "--create_env=True"]
    ran = oet("procedure", "run", "git://scripts/plain.py", *options)
    assert ran.returncode == 0, ran.stderr
    assert "ran" in ran.stdout
    assert "making an empty environment" in ran.stdout + ran.stderr


SCANS: Final = [
    "subarray 1",
    *(f"scan-definition-5000{number} {s}" for number, s in ((1, 2.0), (2, 3.0), (3, 3.0))),
]


@pytest.mark.parametrize(("script", "said"), [("allocate_and_observe_sb", SCANS), ("scheduling_block", None)])
def test_an_activity_of_a_draft_as_it_is_written_today(
    script: str, said: list[str] | None, client: OETClient, repository: str
) -> None:
    draft: dict[str, Any] = json.loads((ORIGINAL / "sbd" / "mid-allocation-scans.json").read_text("utf-8"))
    draft["activities"]["observe"] |= {"repo": repository, "path": f"git://scripts/{script}.py"}
    del draft["sbd_id"], draft["metadata"]
    sbd_id = client.add_sbd(draft).sbd.sbd_id
    activity = client.wait_activity(client.run_activity("observe", sbd_id).id, timeout=DEADLINE)
    assert activity.state == "COMPLETE", activity.message
    assert activity.procedure_id is not None
    assert written(client, activity.procedure_id) == (said or [sbd_id])
