"""Control groups of the operating system (version 1), where there is the right to make them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cgroup(controller: str) -> Iterator[Path]:
    """Make a group of a controller; skips the test where that is not possible."""
    folder = Path(f"/sys/fs/cgroup/{controller}/oet-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 60.0
    while True:
        try:
            folder.rmdir()
        except OSError:  # what was in it is still ending, which nothing tells
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def freezer() -> Iterator[Path]:
    """Make a group whose processes can be frozen, so that they do not even see SIGKILL; thawed at the end."""
    with cgroup("freezer") as folder:
        try:
            yield folder
        finally:
            thaw(folder)


def freeze(folder: Path, pid: int) -> None:
    (folder / "cgroup.procs").write_text(str(pid))
    (folder / "freezer.state").write_text("FROZEN")


def thaw(folder: Path) -> None:
    """Let the processes go on, and move them out of the group."""
    (folder / "freezer.state").write_text("THAWED")
    for pid in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):  # it has ended
            (folder.parent / "cgroup.procs").write_text(pid)
