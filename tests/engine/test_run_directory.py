"""The temporary files of a controller, and those of one that was killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ska_oso_oet.procedure.run_directory import RunDirectory, delete_left_behind

DEADLINE = 30.0
HOLD = """
import sys
from ska_oso_oet.procedure.run_directory import RunDirectory
directory = RunDirectory()
(directory.folder("scheduling-blocks") / "sb.json").write_text("{}")
print(directory.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_what_a_killed_controller_left_is_deleted_and_nothing_else(temporary: Path) -> None:
    mine = RunDirectory()
    other = temporary / "oet-run-of-nobody"
    other.symlink_to(temporary.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=-1, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        theirs = Path(process.stdout.readline().strip())
        delete_left_behind()
        assert (theirs / "scheduling-blocks" / "sb.json").exists()
        process.kill()
        process.wait(DEADLINE)
    delete_left_behind()
    assert not theirs.exists()
    assert mine.path.is_dir()
    assert other.is_symlink()
    mine.close()
    assert sorted(temporary.iterdir()) == [other]
