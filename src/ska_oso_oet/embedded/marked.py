"""All processes of a stack inherit a mark, by which they are found: servers, scripts and their children."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path
from time import monotonic

STACK_MARK = "OET_STACK"  # environment variable, the value is the stack's data directory
_PATIENCE = 5.0  # seconds; the kernel needs that long only when it is in trouble


def stack_processes(data_dir: Path) -> dict[int, str]:
    """Find the processes of the stack in `data_dir`, this one left out: their names by their ids."""
    mark = os.fsencode(f"{STACK_MARK}={data_dir}")
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to somebody else
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                found[int(directory.name)] = (directory / "comm").read_text().strip()
    found.pop(os.getpid(), None)
    return found


def end_stack_processes(data_dir: Path) -> dict[int, str]:
    """SIGKILL to what its servers have left of a stack; returns what does not end of it."""
    deadline = monotonic() + _PATIENCE
    while (processes := stack_processes(data_dir)) and monotonic() < deadline:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                _kill(pid, deadline)
    return processes


def _kill(pid: int, deadline: float) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], max(0.0, deadline - monotonic()))
    finally:
        os.close(descriptor)
