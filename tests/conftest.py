"""The leak guard: a test that leaves a process, a thread or a listening socket behind fails.

Fixtures of a wider scope are set up before the guard looks, so what they keep running is theirs. The
guard allows nothing else but the two helpers that multiprocessing keeps for the life of a process, and the
spare workers that the engine of such a fixture makes ready.
Orphans, which no longer have an ancestor among the tests, are found when all tests have ended, by a
mark in their environment.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from ska_oso_oet.worker.orders import SPARE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Seconds for what is already ending: as long as a loaded machine may need.
PATIENCE = float(os.environ.get("OET_TEST_PATIENCE", "15"))
MARK = "OET_TEST_RUN"
TASKS = Path("/proc/self/task")
CHILDREN = TASKS / str(os.getpid()) / "children"
LASTING = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")


def pytest_configure() -> None:
    # A shell has what it starts in the background ignore Ctrl-C, which all that tests start would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _processes() -> set[psutil.Process]:
    # Most tests start none, which the kernel says at once; psutil reads the status of every process there is.
    if CHILDREN.exists() and not any(each.read_text() for each in TASKS.glob("*/children")):
        return set()
    return set(psutil.Process().children(recursive=True))


def _threads() -> set[threading.Thread]:
    # A dummy stands for a thread of a C++ library that once called Python; that library owns it.
    return {each for each in threading.enumerate() if not isinstance(each, threading._DummyThread)}


def _listening() -> set[str]:
    sockets = psutil.Process().net_connections("all")
    return {str(s.laddr) for s in sockets if s.status == psutil.CONN_LISTEN}


def _lasting(process: psutil.Process) -> bool:
    # What the fork server has forked has its command line, but is to end.
    try:
        helper = any(name in argument for argument in process.cmdline() for name in LASTING)
        return helper and process.ppid() == os.getpid()
    except psutil.Error:
        return False


def _is_spare(process: psutil.Process, before: set[psutil.Process]) -> bool:
    """Tell whether it is a worker that waits for a procedure, in an engine older than the test."""
    try:
        return process.name() == SPARE_NAME and process.parent() in before
    except psutil.Error:
        return False


def _left_processes(
    candidates: Iterable[psutil.Process], before: set[psutil.Process] | None = None
) -> list[str]:
    older = before or set()
    deadline = time.monotonic() + PATIENCE
    alive = [process for process in candidates if not _lasting(process)]
    # A spare worker has its name a moment after it was forked, so this is asked again and again.
    while alive := [process for process in alive if not _is_spare(process, older)]:
        if time.monotonic() > deadline:
            break
        _, alive = psutil.wait_procs(alive, timeout=0.1)
    return [_killed(process) for process in alive]


def _killed(process: psutil.Process) -> str:
    try:
        with process.oneshot():
            told = f"process {process.pid} {' '.join(process.cmdline())[:200]} ({process.status()})"
        process.kill()
    except psutil.NoSuchProcess:
        return f"process {process.pid}, which ended when the guard had lost its patience"
    return told


def _left_threads(before: set[threading.Thread]) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    new = _threads() - before
    for thread in new:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [f"thread {thread.name}" for thread in new if thread.is_alive()]


def pytest_collection_finish() -> None:
    # What was loaded to collect the tests is there to the end: no garbage collection need look at it again.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leak_guard() -> Iterator[None]:
    """Compare what runs after the test with what ran before it."""
    processes, threads, sockets = _processes(), _threads(), _listening()
    yield
    left = _left_processes(_processes() - processes, processes) + _left_threads(threads)
    left += [f"listening socket {address}" for address in sorted(_listening() - sockets)]
    assert not left, "the test left behind: " + "; ".join(left)


@pytest.fixture(scope="session", autouse=True)
def orphan_guard() -> Iterator[None]:
    """Find what outlives all tests and their fixtures, whatever it did to its parents."""
    os.environ[MARK] = str(os.getpid())
    yield
    left = _left_processes(process for process in psutil.process_iter() if _marked(process))
    assert not left, "the tests left behind: " + "; ".join(left)


def _marked(process: psutil.Process) -> bool:
    try:
        return process.environ().get(MARK) == str(os.getpid())
    except psutil.Error:
        return False
