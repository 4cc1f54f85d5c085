"""The temporary files of a controller, and those of one that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ska_oso_oet.source.run_directory import RunDirectory, delete_left_behind

DEADLINE = 30.0
HOLD = """
import sys
from ska_oso_oet.source.run_directory import RunDirectory
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


def test_what_somebody_has_tidied_up_is_made_anew(temporary: Path) -> None:
    mine = RunDirectory()
    mine.folder("git").rmdir()
    assert mine.folder("git").is_dir()
    shutil.rmtree(mine.path)
    again = mine.folder("git")
    assert again == mine.path / "git"
    assert stat.S_IMODE(mine.path.stat().st_mode) == 0o700
    delete_left_behind()  # of another controller of this user: it is held again
    assert again.is_dir()
    mine.close()
    assert list(temporary.iterdir()) == []


def test_it_is_locked_as_systemd_asks_of_what_is_not_to_be_tidied_up(temporary: Path) -> None:
    mine = RunDirectory()
    theirs = os.open(mine.path, os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(theirs)
    mine.close()


def test_a_name_that_something_else_has_taken_is_not_used(temporary: Path) -> None:
    mine = RunDirectory()
    shutil.rmtree(mine.path)
    mine.path.symlink_to(temporary)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        mine.folder("git")
    mine.path.unlink()
    if os.getuid() == 0:
        mine.path.mkdir(mode=0o777)
        os.chown(mine.path, 54321, 54321)
        with pytest.raises(PermissionError, match="belongs to another user"):
            mine.folder("git")
        mine.path.rmdir()
    mine.close()
