"""A running `oet up`, as its user sees it: a process, what it prints, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DEADLINE = 60.0
READY = "ready TANGO_HOST="


class StackProcess:
    """Starts `argv` (a command that runs a stack in `data_dir`) and reads what it prints."""

    def __init__(self, argv: Sequence[str], data_dir: Path, stderr: Path) -> None:
        self.data_dir = data_dir
        self._stderr = stderr
        self.tango_host = ""
        self.rest_url = ""
        environment = {key: value for key, value in os.environ.items() if key != "TANGO_HOST"}
        with stderr.open("wb") as file:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=file, env=environment)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a client of this stack."""
        return {**os.environ, "TANGO_HOST": self.tango_host}

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def wait_ready(self, deadline: float = DEADLINE) -> None:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(deadline), f"neither ready nor ended in time:\n{self.stderr}"
        line = self.process.stdout.readline().decode()
        assert line.startswith(READY), f"not ready: {line!r}\n{self.stderr}"
        self.tango_host, _, self.rest_url = line.removeprefix(READY).strip().partition(" REST=")

    def processes(self) -> list[psutil.Process]:
        """Every process of the stack but the first: they carry its mark in their environment."""
        return [process for process in psutil.process_iter() if _mark(process) == str(self.data_dir)]

    def named(self, part: str) -> psutil.Process:
        """The one process of the stack with `part` in its command line."""
        (found,) = (process for process in self.processes() if part in " ".join(process.cmdline()))
        return found

    def wait_exit(self) -> int:
        return self.process.wait(DEADLINE)

    def rest_of_stdout(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait_exit()

    def wait_all_gone(self) -> list[psutil.Process]:
        """Wait for the end of every process of the stack; return those that do not end."""
        _, alive = psutil.wait_procs(self.processes(), timeout=DEADLINE)
        return alive

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Ask again and again, for what the operating system and Tango tell nobody."""
        end = time.monotonic() + DEADLINE
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < end, f"{what} did not happen in time:\n{self.stderr}"
            pause.wait(0.05)

    def close(self) -> None:
        """End everything, whatever happened."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE)
        self.process.kill()
        self.process.wait()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self.processes(), timeout=DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("OET_STACK")
    except psutil.Error:
        return None
