"""What descends from this process (prctl(2), proc(5))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from pathlib import Path
from typing import Final

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36


def become_subreaper() -> None:
    """Make orphaned descendants of this process its children, so that they can be found and reaped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def name_process(name: str) -> None:
    """Give this process the name that ps and top show; 15 characters of it are kept."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def own_children() -> list[int]:
    """List the children of this process, zombies included; only right in a process of one thread."""
    listing = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    try:
        return [int(pid) for pid in listing.read_text().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return _children_by_scan(os.getpid())


def _children_by_scan(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # pid (name) state ppid …; a name may contain anything
            if int(status.read_bytes().rpartition(b")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found
