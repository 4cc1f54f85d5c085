"""What fails once and passes alone is called flaky; what is broken or leaks stays what it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
SAMPLE = """
import pathlib
import pytest

TRIED = pathlib.Path(__file__).with_name("tried")

@pytest.mark.parametrize("how", ["a name - with blanks"])
def test_at_first(how):
    if not TRIED.exists():
        TRIED.touch()
        assert not "the first time"

def test_good():
    pass

def test_broken():
    assert not "ever"

@pytest.fixture
def leaking():
    yield
    if not TRIED.exists():
        TRIED.touch()
        assert not "left behind"

def test_leaking(leaking):
    pass

@pytest.mark.parametrize("number", range(6))
def test_many(number):
    assert TRIED.exists()
"""
FLAKY = "test_sample.py::test_at_first[a name - with blanks]"


def run(folder: Path, chosen: Sequence[str], options: Sequence[str] = ()) -> tuple[int, str, list[str]]:
    """Return the exit code, the output, and the file of flaky tests without the dates."""
    (folder / "test_sample.py").write_text(SAMPLE)
    (folder / "pytest.ini").touch()
    argv = [sys.executable, "-m", "pytest", "-p", "tests.second_try", "--second-try=flaky.txt", *options]
    done = subprocess.run(
        [*argv, *(f"test_sample.py::test_{name}" for name in chosen)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    kept = folder / "flaky.txt"
    lines = kept.read_text().splitlines() if kept.exists() else []
    return done.returncode, done.stdout, [line.partition(" ")[2] for line in lines]


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_what_passes_the_second_time_is_flaky(tmp_path: Path, options: Sequence[str]) -> None:
    code, output, kept = run(tmp_path, ["at_first", "good"], options)
    assert (code, kept) == (0, [FLAKY])
    assert f"FLAKY {FLAKY}\n" in output
    assert "the first time" in output
    assert "1 passed, 1 flaky in" in output.splitlines()[-1]


def test_beside_a_flaky_test_a_broken_one_is_broken(tmp_path: Path) -> None:
    code, output, kept = run(tmp_path, ["at_first", "broken"])
    assert (code, kept) == (1, [FLAKY])
    assert "1 failed, 1 flaky in" in output.splitlines()[-1]


def test_what_is_left_behind_is_never_tried_again(tmp_path: Path) -> None:
    code, output, kept = run(tmp_path, ["leaking"])
    assert (code, kept) == (1, [])
    assert "1 passed, 1 error in" in output.splitlines()[-1]


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    code, _, kept = run(tmp_path, ["many", "at_first"])
    assert (code, kept) == (1, [])
