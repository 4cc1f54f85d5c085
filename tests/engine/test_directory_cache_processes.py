"""Many processes make, use and delete the same directories, some of them killed at any instant."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import TYPE_CHECKING

from ska_oso_oet.source.directory_cache import DirectoryCache
from ska_oso_oet.source.git_errors import GitError

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 90.0
USER = """
import os, pathlib, random, sys
from ska_oso_oet.source import directory_cache
from ska_oso_oet.source.git_errors import GitError

os.sync = lambda: None  # this is about processes, not about power cuts
root, seed, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
choose = random.Random(seed)

def make(directory):
    for number in range(20):
        (directory / str(number)).write_text("whole")
    if choose.random() < 0.1:
        raise GitError("by chance")

for _ in range(rounds):
    cache = directory_cache.DirectoryCache(root, 1, GitError, recent_s=0.0)
    try:
        content = cache.get(f"key{choose.randrange(3)}", make)
        with cache.in_use(content):
            for _ in range(5):
                assert [(content / str(number)).read_text() for number in range(20)] == ["whole"] * 20
            print("used", flush=True)
    except GitError:
        print("failed", flush=True)
    except FileNotFoundError as error:
        assert error.filename.endswith("/lock"), error  # deleted before it was held: nothing is recent here
        print("gone", flush=True)
"""


def start(root: Path, seed: int, rounds: int) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", USER, str(root), str(seed), str(rounds)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_what_is_in_use_is_whole_whatever_the_others_do(tmp_path: Path) -> None:
    root = tmp_path / "root"
    users = [start(root, seed, rounds=150) for seed in range(4)]
    choose = random.Random(0)
    for seed in range(100, 112):
        with start(root, seed, rounds=10_000) as victim:
            assert victim.stdout
            for _ in range(choose.randrange(1, 20)):
                victim.stdout.readline()
            victim.kill()
    for user in users:
        output, _ = user.communicate(timeout=DEADLINE)
        assert user.returncode == 0, output[-2000:]
        assert "used" in output

    DirectoryCache(root, 1, GitError, recent_s=0.0).trim()
    assert len(list(root.glob("*~*"))) <= 1
    assert not list(root.glob(".deleted~*"))
