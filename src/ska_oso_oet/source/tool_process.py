"""Programs that prepare a script run here: their output is read, they end in time, nothing is left."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LONGEST_LINE = 1 << 16


class TimedOut(Exception):
    """The program was still running at the deadline; it has been killed."""


def run(
    arguments: Sequence[str | Path],
    *,
    directory: Path,
    environment: Mapping[str, str],
    deadline: float,
    report: Callable[[str], None],
) -> int:
    """Run a program and return its exit code; each line of its output and errors goes to `report`.

    It stays in the caller's process group, so that killing the group stops it. `deadline` is a
    `time.monotonic()`; when it passes, or `report` raises, the program and all its children are killed.
    """
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _relay(process, deadline, report)
        return process.wait()
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()
        if process.stdout:
            process.stdout.close()


def _relay(process: subprocess.Popen[bytes], deadline: float, report: Callable[[str], None]) -> None:
    """Pass output on until the program ends; a child of it that keeps its output open is not waited for."""
    if process.stdout is None:
        return
    output = process.stdout.fileno()
    ended = os.pidfd_open(process.pid)
    rest = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            while ready := {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}:
                if output not in ready:
                    return
                if not (chunk := os.read(output, 1 << 16)):
                    selector.unregister(output)
                rest = _report_lines(rest + chunk, report)
        raise TimedOut
    finally:
        os.close(ended)
        if rest:
            report(rest.decode(errors="replace"))


def _report_lines(data: bytes, report: Callable[[str], None]) -> bytes:
    """Report the whole lines in `data` and return what follows them."""
    *lines, rest = data.replace(b"\r\n", b"\n").split(b"\n")
    for line in lines:
        report(line.decode(errors="replace"))
    if len(rest) < _LONGEST_LINE:
        return rest
    report(rest.decode(errors="replace"))
    return b""


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants; whoever started it still has to wait for it."""
    for process in _frozen_tree(pid):
        _signal(process, signal.SIGKILL)


def _frozen_tree(pid: int) -> list[int]:
    """Stop a process and its descendants, parents first, so that none starts another unseen."""
    _signal(pid, signal.SIGSTOP)
    return [pid, *(descendant for child in _children(pid) for descendant in _frozen_tree(child))]


def _children(pid: int) -> list[int]:
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # proc(5): pid (name) state ppid …; a name may contain anything
            if int(status.read_text(errors="replace").rpartition(")")[2].split()[1]) == pid:
                children.append(int(status.parent.name))
    return children


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
