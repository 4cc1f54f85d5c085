"""Programs run for an environment: their output, their end, and the end of all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.source.tool_process import TimedOut, run

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = 60.0
# Each generation starts the next one and waits for ever; the last one speaks.
FAMILY = """
import subprocess, sys, time
generation = int(sys.argv[1])
if generation:
    subprocess.Popen([sys.executable, __file__, str(generation - 1)])
else:
    print("all are here", flush=True)
time.sleep(1000)
"""


class Enough(Exception):
    pass


def run_python(
    directory: Path, code: str, report: Callable[[str], None], *, seconds: float = DEADLINE
) -> int:
    (directory / "program.py").write_text(code)
    return run(
        [sys.executable, directory / "program.py", "2"],
        directory=directory,
        environment=os.environ,
        deadline=time.monotonic() + seconds,
        report=report,
    )


def test_output_and_errors_arrive_line_by_line_with_the_exit_code(tmp_path: Path) -> None:
    code = "import os\nos.write(1, b'one\\r\\ntwo\\n\\xff')\nos.write(2, b' three')\nraise SystemExit(7)"
    said: list[str] = []
    assert run_python(tmp_path, code, said.append) == 7
    assert said == ["one", "two", "\N{REPLACEMENT CHARACTER} three"]


def test_a_line_without_end_is_passed_on_in_pieces(tmp_path: Path) -> None:
    said: list[str] = []
    assert run_python(tmp_path, "print('x' * 1_000_000, end='')", said.append) == 0
    assert len(said) > 2
    assert "".join(said) == "x" * 1_000_000


def test_at_the_deadline_the_program_is_killed(tmp_path: Path) -> None:
    with pytest.raises(TimedOut):
        run_python(tmp_path, "import time; time.sleep(1000)", print, seconds=0.0)


def test_children_and_their_children_are_killed_too(tmp_path: Path) -> None:
    # The leak guard of all tests finds what is left.
    def say(line: str) -> None:
        raise Enough(line)

    with pytest.raises(Enough, match="all are here"):
        run_python(tmp_path, FAMILY, say)


def test_a_child_that_stays_with_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    code = "import subprocess as s\nprint(s.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"
    said: list[str] = []
    assert run_python(tmp_path, code, said.append) == 0
    os.kill(int(said[0]), signal.SIGKILL)


def test_the_program_is_in_our_process_group(tmp_path: Path) -> None:
    said: list[str] = []
    assert run_python(tmp_path, "import os; print(os.getpgrp())", said.append) == 0
    assert said == [str(os.getpgrp())]


def test_nothing_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    run_python(tmp_path, "print('x')", print)
    with pytest.raises(subprocess.SubprocessError):
        run_python(tmp_path, "print('x')", lambda _: (_ for _ in ()).throw(subprocess.SubprocessError))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
