"""The tutorial "Your first observation": its commands are run, and what they print is compared."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ska_oso_oet.resources import program, scripts_dir
from tests.system.test_docs_tutorial import DOCS, PORT, essence, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.stack_process import StackProcess

PAGE: Final = DOCS / "tutorials" / "first-observation.md"
DEADLINE: Final = 60.0
SBI: Final = re.compile(r"sbi-[0-9a-f-]{36}")
# A table at the start of an activity: its procedure may be known by then.
BEGINNING: Final = re.compile(r"^(\d+ \w+ sbd-\S+ DAY T)( \d+)? (?:REQUESTED|PREPARED|RUNNING)$")
# How far a scan is, is told as often as time allows.
PROGRESS: Final = re.compile(r"^T progress \d+ % ")


def told(text: str, places: dict[str, str]) -> list[str]:
    """Take out what differs from run to run: identifiers, and how often progress is told, as well."""
    lines = [
        PROGRESS.sub("T progress ", BEGINNING.sub(r"\1 …", line))
        for line in essence(SBI.sub("SBI", text), places)
    ]
    return [line for line, before in zip(lines, ["", *lines], strict=False) if line != before]


@pytest.fixture
def environment(start_stack: Callable[..., StackProcess], tmp_path: Path) -> dict[str, str]:
    """The second terminal of the tutorial."""
    # A stack that is started without --data-dir keeps its data here, and `oet sbd` looks for them here.
    data_dir = tmp_path / "ska-oso-oet"
    options = ["--port=0", "--telescope=mid", "--time-scale=0.2", f"--data-dir={data_dir}"]
    stack = start_stack([program("oet"), "up", *options], data_dir)
    stack.wait_ready()
    ready = PORT.sub(":N", f"ready TANGO_HOST={stack.tango_host} REST={stack.rest_url}\n")
    assert f"$ .venv/bin/oet up --telescope mid\n{ready}" in PORT.sub(":N", PAGE.read_text("utf-8"))
    return {
        **stack.env,
        "PATH": f"{Path(program('oet')).parent}{os.pathsep}{os.environ['PATH']}",
        "SCRIPTS": str(scripts_dir()),
        "XDG_DATA_HOME": str(tmp_path),
    }


def test_the_first_observation(environment: dict[str, str], tmp_path: Path) -> None:
    here = tmp_path / "observation"
    here.mkdir()
    places = {
        environment["SCRIPTS"]: "SCRIPTS",
        "/home/you/ska-oso-oet/scripts": "SCRIPTS",
        str(tmp_path): "DATA",
        "/home/you/.local/share": "DATA",
    }
    todo = list(steps(PAGE.read_text("utf-8")))
    assert len(todo) == 25
    for step in todo:
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert told(done.stdout, places) == told(step.printed, places), f"$ {step.command}\n{done.stdout}"
        assert (done.returncode, done.stderr) == (step.code, ""), step.command


def test_the_comparison_sees_a_difference() -> None:
    shown = (
        "1 allocate sbd-x 2026-11-20 11:44:36  REQUESTED\n\n"
        "11:44:36.5 progress 0 % scan 1\n11:44:37.5 progress 50 % scan 1\n"
        'x: {"sb_id": "sbi-8d86c43b-4398-4c40-9e65-624168271904"}\n'
    )
    same = (
        "1 allocate sbd-x 2026-11-20 12:00:00 2 RUNNING\n\n"
        "12:00:00.5 progress 30 % scan 1\n"
        'x: {"sb_id": "sbi-491ce361-29a5-48fd-8ee5-cfc8b4cd11b2"}\n'
    )
    assert told(same, {}) == told(shown, {})
    assert told(same.replace("RUNNING", "FAILED"), {}) != told(shown, {})
    assert told(same.replace("scan 1", "scan 2"), {}) != told(shown, {})
    assert told(same.replace("sb_id", "sbd_id"), {}) != told(shown, {})
