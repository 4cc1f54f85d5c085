"""What a script writes, as `oet` shows it: afterwards, while it runs, and with a progress bar."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.resources import program
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

MIXED = """
import logging
import sys

def main():
    print("to stdout", flush=True)
    print("to stderr", file=sys.stderr, flush=True)
    logging.getLogger("observing").warning("to the log")
"""
# More lines at once than an event has, and a wait for a file between two such bursts.
BURSTS = """
import os
import time

def main(go, count=1000):
    print("\\n".join(f"number {i}" for i in range(count)), flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    print("\\n".join(f"number {i}" for i in range(count, 2 * count)), flush=True)
"""
PROGRESS = """
import os
import time
from pubsub import pub

def main(go):
    for percent in (20, 60):
        pub.sendMessage("procedure.progress", msg_src="script", progress=percent, message=f"scan {percent}")
        print("at", percent, flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
"""
STAMP = re.compile(r"\d\d:\d\d:\d\d\.\d\d\d ")


@pytest.fixture
def oet(stack: StackProcess, client: OETClient, tmp_path: Path) -> Oet:
    return Oet(stack.env, tmp_path, mixed=MIXED, bursts=BURSTS, progress=PROGRESS)


def _run(client: OETClient, uri: str, **kwargs: object) -> int:
    """Start a script and leave it."""
    created = client.create(uri)
    client.wait(created.id, {ProcedureState.READY}, DEADLINE)
    client.start(created.id, **kwargs)
    return created.id


def test_lines_have_a_time_a_stream_and_a_level(oet: Oet, client: OETClient) -> None:
    done = client.run(oet.uris["mixed"], timeout=DEADLINE)
    shown = oet("procedure", "output")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert all(STAMP.match(line) for line in lines)
    assert sorted(STAMP.sub("", line) for line in lines) == [
        "WARNING | observing: to the log",
        "stderr  | to stderr",
        "stdout  | to stdout",
    ]
    code, document = oet.json("procedure", "output", f"--pid={done.id}", "--since=2")
    output = document["output"]
    assert (code, output["last_line"], output["dropped"]) == (0, 3, 0)
    assert [line["line"] for line in output["lines"]] == [3]


@pytest.mark.parametrize("as_json", [False, True])
def test_following_misses_no_line_and_repeats_none(
    oet: Oet, client: OETClient, tmp_path: Path, *, as_json: bool
) -> None:
    number = _run(client, oet.uris["bursts"], go=str(tmp_path / "go"))
    following = oet.start(
        "procedure", "output", f"--pid={number}", "--follow", *(["--json"] if as_json else [])
    )
    assert following.stdout is not None
    lines = [following.stdout.readline().rstrip() for _ in range(1000)]
    (tmp_path / "go").touch()
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert (following.returncode, stderr) == (0, "")
    lines += stdout.splitlines()
    texts = [json.loads(line)["text"] if as_json else line.partition(" | ")[2] for line in lines]
    assert texts == [f"number {i}" for i in range(2000)]


def test_running_shows_the_lines_that_events_skip(oet: Oet, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    done = oet("procedure", "run", oet.uris["bursts"], str(tmp_path / "go"), "--count=600")
    assert (done.returncode, done.stderr) == (0, "")
    texts = [line.partition(" | ")[2] for line in done.stdout.splitlines() if " | " in line]
    assert texts == [f"number {i}" for i in range(1200)]


def test_lines_that_are_no_longer_kept_are_counted(oet: Oet, client: OETClient, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    done = client.run(oet.uris["bursts"], go=str(tmp_path / "go"), count=1500, timeout=DEADLINE)
    assert done.state is ProcedureState.COMPLETE
    shown = oet("procedure", "output", f"--pid={done.id}")
    assert shown.returncode == 0
    assert shown.stderr == "oet: 1000 lines of output are lost: the controller no longer keeps them\n"
    assert shown.stdout.splitlines()[0].endswith("| number 1000")
    assert len(shown.stdout.splitlines()) == 2000


def test_an_unknown_procedure_has_no_output(oet: Oet) -> None:
    code, document = oet.json("procedure", "output", "--pid=4711", "--follow")
    assert (code, document["error"]["code"]) == (3, "OET_NotFound")


def test_progress_is_a_line_where_there_is_no_terminal(oet: Oet, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    done = oet("procedure", "run", oet.uris["progress"], str(tmp_path / "go"))
    told = [
        STAMP.sub("", line) for line in done.stdout.splitlines() if "progress" in line and STAMP.match(line)
    ]
    assert told == ["progress 20 % scan 20", "progress 60 % scan 60"]
    assert "Progress: 60 % scan 60" in oet("procedure", "describe").stdout


def test_progress_is_a_bar_on_a_terminal(oet: Oet, tmp_path: Path) -> None:
    terminal, other_end = pty.openpty()
    environment = {**oet.environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    argv = [program("oet"), "procedure", "run", oet.uris["progress"], str(tmp_path / "go")]
    following = subprocess.Popen(argv, env=environment, stdin=other_end, stdout=other_end, stderr=other_end)
    os.close(other_end)
    shown = _read_until(terminal, "60%")
    (tmp_path / "go").touch()
    shown += _read_until(terminal, None)
    assert following.wait(DEADLINE) == 0
    os.close(terminal)
    assert "━" in shown
    assert "scan 60" in shown
    assert re.search(r"stdout  \| at 60", shown)
    assert "progress 60 %" not in shown
    assert "COMPLETE" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is there again


def _read_until(terminal: int, text: str | None) -> str:
    """Read what is shown until `text` is, or until the program has ended."""
    shown = b""
    end = time.monotonic() + DEADLINE
    while text is None or text not in shown.decode(errors="ignore"):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"not shown in time: {text}\n{shown.decode(errors='ignore')}"
        try:
            part = os.read(terminal, 65536)
        except OSError:  # what a terminal answers once its other end is closed
            part = b""
        if not part:
            break
        shown += part
    return shown.decode(errors="ignore")
