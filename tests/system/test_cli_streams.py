"""What `oet` does where its output cannot be written, or is read by nobody."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.resources import program
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.stack_process import StackProcess

GOOD = "def main(): print('it runs')\n"
FAILING = "def main(): raise ValueError('no dish')\n"
NOTED = """
from pathlib import Path
import sys, time
def main(*, gone, ended):
    print("begun")
    sys.stdout.flush()
    while not Path(gone).exists():
        time.sleep(0.02)
    for number in range(20):
        print("more", number)
    Path(ended).touch()
"""


@pytest.fixture
def oet(stack: StackProcess, tmp_path: Path) -> Oet:
    return Oet(stack.env, tmp_path, good=GOOD, failing=FAILING, noted=NOTED)


def _in_shell(oet: Oet, command: str) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", command],
        env={**oet.environment, "OET": program("oet"), **oet.uris},
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout


CLOSED = ("2>&-", ">&-", "<&-", "<&- >&- 2>&-")
BROKEN = ("2> >(true)", "2>/dev/full", "> >(true)", ">/dev/full 2>/dev/null")


@pytest.mark.parametrize("streams", [*CLOSED, *BROKEN])
def test_the_exit_code_tells_of_the_script_wherever_the_output_goes(oet: Oet, streams: str) -> None:
    for script, code in (("good", 0), ("failing", 1)):
        for options in ("", "--json"):
            run = f"$OET procedure run ${script} --subarray_id=none {options} {streams}"
            assert _in_shell(oet, run)[0] == code, run


@pytest.mark.parametrize("streams", ["2>&-", "<&- 2>&-", "2> >(true)", "2>/dev/full"])
def test_stdout_is_one_document_without_stderr(oet: Oet, streams: str) -> None:
    code, stdout = _in_shell(oet, f"$OET --json procedure run $failing --subarray_id=none {streams}")
    assert (code, json.loads(stdout)["procedure"]["state"]) == (1, "FAILED")
    code, stdout = _in_shell(oet, f"$OET --json procedure describe --pid=4711 {streams}")
    assert (code, json.loads(stdout)["error"]["code"]) == (3, "OET_NotFound")


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["procedure", "list"], ["listen", "--since=0"]]
)
def test_who_only_shows_something_says_that_nobody_reads_it(oet: Oet, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [program("oet"), *arguments],
        env=oet.environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_said(oet: Oet) -> None:
    code, said = _in_shell(oet, "$OET procedure list 2>&1 >/dev/full")
    assert (code, said) == (70, "oet: the output could not be written: No space left on device\n")
    code, said = _in_shell(oet, "$OET procedure run $good --subarray_id=none 2>&1 >/dev/full")
    assert (code, said) == (0, "oet: the output could not be written: No space left on device\n")


def test_a_reader_that_goes_does_not_end_the_following(oet: Oet, tmp_path: Path) -> None:
    gone, ended = tmp_path / "gone", tmp_path / "ended"
    following = oet.start(
        "procedure", "run", oet.uris["noted"], f"--gone={gone}", f"--ended={ended}", "--subarray_id=none"
    )
    assert following.stdout is not None
    assert any("begun" in line for line in iter(following.stdout.readline, ""))
    following.stdout.close()
    following.stdout = None
    gone.touch()
    _, stderr = following.communicate(timeout=DEADLINE)
    assert (following.returncode, stderr, ended.exists()) == (0, "", True)
