"""The descendants of this process are found and named here (prctl(2), proc(5))."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Final

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_STATES: Final = {
    "D": "in a system call that cannot be interrupted, or frozen",
    "T": "halted",
    "t": "halted by a debugger",
}


def become_subreaper() -> None:
    """Make orphaned descendants of this process its children, so that they can be found and reaped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def name_process(name: str) -> None:
    """Set the name of this process that ps and top show; 15 characters of it are kept."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def offer_to_oom_killer(score: int) -> None:
    """Have the kernel kill this process before those of a lower score when memory runs out (0 to 1000).

    What it starts inherits that. A score that is higher already stays.
    """
    setting = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):  # not to be had, as in some containers
        if int(setting.read_text()) < score:
            setting.write_text(str(score))


def children_of(parent: int) -> list[int]:
    """List the children of a process, zombies included; none when it is gone."""
    before: list[int] | None = None
    try:
        # A child that ends while the list is read can hide another one.
        while (found := _children_of_threads(parent)) != before:
            before = found
    except FileNotFoundError:  # it is gone, or this is a kernel without CONFIG_PROC_CHILDREN
        return _children_by_scan(parent)
    return found


def _children_of_threads(parent: int) -> list[int]:
    found: list[int] = []
    # A child belongs to the thread that made or adopted it.
    for thread in Path(f"/proc/{parent}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # the thread has ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


def _children_by_scan(parent: int) -> list[int]:
    pids = (int(process.name) for process in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if (status := _status(pid)) is not None and int(status[1]) == parent]


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, even if nobody has waited for it yet."""
    status = _status(pid)
    return status is None or status[0] in {"Z", "X"}


def describe(pid: int) -> str:
    """Name a process, and what keeps it from ending if the system shows that."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return f"process {pid}"
    state = _STATES.get((_status(pid) or [""])[0])
    return f"process {pid} ({name}{f', {state}' if state else ''})"


def pulse(pid: int) -> str:
    """Return a text that changes whenever a process gets a processor; empty when that is not known."""
    try:
        return Path(f"/proc/{pid}/schedstat").read_text()
    except OSError:  # it is gone, or this is a kernel without CONFIG_SCHED_INFO
        return ""


def session_of(pid: int) -> int:
    """Return the session of a process, 0 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _status(pid: int) -> list[str] | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # pid (name) state ppid …; a name may contain anything
    return content.rpartition(b")")[2].decode().split()
