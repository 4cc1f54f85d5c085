"""The guard in tests/conftest.py finds what a test leaves behind, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SAMPLE = """
import multiprocessing, socket, subprocess, threading, time
KEEP = []

def test_sample():
    {body}
"""


def run(tmp_path: Path, body: str, patience: float = 15) -> str:
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_sample.py").write_text(SAMPLE.format(body=body))
    (tmp_path / "pytest.ini").touch()
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    env = {**os.environ, "OET_TEST_PATIENCE": str(patience), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, env=env).stdout


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("process", "KEEP.append(subprocess.Popen(['sleep', '60']))"),
        ("thread", "threading.Thread(target=time.sleep, args=(60,), name='lasting', daemon=True).start()"),
        ("listening socket", "KEEP.append(socket.create_server(('127.0.0.1', 0)))"),
    ],
)
def test_a_leak_fails_the_test(tmp_path: Path, kind: str, body: str) -> None:
    output = run(tmp_path, body, patience=1)
    assert f"the test left behind: {kind}" in output
    assert "1 passed, 1 error" in output


@pytest.mark.parametrize(
    "body",
    [
        "subprocess.run(['true'])",
        "threading.Thread(target=time.sleep, args=(0.2,)).start()",
        "socket.create_server(('127.0.0.1', 0)).close()",
        "p = multiprocessing.get_context('forkserver').Process(target=int); p.start(); p.join()",
    ],
)
def test_a_tidy_test_passes(tmp_path: Path, body: str) -> None:
    assert "1 passed in" in run(tmp_path, body)


def test_an_orphan_is_found_when_all_tests_have_ended(tmp_path: Path) -> None:
    output = run(tmp_path, "subprocess.run(['sh', '-c', 'setsid sleep 60 >/dev/null 2>&1 &'])", patience=1)
    assert "the tests left behind: process" in output
    assert "sleep 60" in output
