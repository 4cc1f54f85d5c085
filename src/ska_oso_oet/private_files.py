"""Directories and files are made here that only their user can read."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS: Final = 0o077


def make_private_directory(path: Path) -> None:
    """Make a directory for its user alone; one that is there is made so, unless it is somebody else's."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(PermissionError):
        path.chmod(0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file for its user alone; one that is there is made so, unless it is somebody else's."""
    try:
        # Not opened if it is there: to close a descriptor of an SQLite database releases the locks on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        with suppress(PermissionError):
            path.chmod(0o600)


@contextmanager
def making_private_files() -> Iterator[int]:
    """Have this process, of one thread, and what it starts make such files; yields the umask before."""
    before = os.umask(_OTHERS)
    try:
        yield before
    finally:
        os.umask(before)
