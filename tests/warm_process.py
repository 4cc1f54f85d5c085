"""Processes that begin where Python, Tango and the OET are loaded already.

To load them is most of what a short program or a device server costs: one or two seconds, hundreds of times.
A fork server does it once for all. What it forks is a process like any other: environment, working directory,
arguments and output are its own, and signals end it. A test of what is read while Python or Tango is loaded,
or of the end of the interpreter, needs a program that is started by itself.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LOADED: Final = (
    "ska_oso_oet.cli.app",
    "ska_oso_oet.client",
    "ska_oso_oet.client.http",
    "ska_oso_oet.device.controller",
    "ska_oso_oet.device.rest_adapter",
)
COLLECTED: Final = gc.get_threshold()
"""What a process has that did not load `oet`, which collects its garbage more rarely."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(LOADED))


class WarmProcess:
    """Calls `body()` as the program `argv`: a `subprocess.Popen` as far as tests use it.

    `body` is found by its name in the new process; `stdout` and `stderr` are file descriptors for it.
    """

    def __init__(
        self,
        body: Callable[[], object],
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdout: int,
        stderr: int,
    ) -> None:
        self.args = argv
        place = cwd or os.getcwd()  # noqa: PTH109 - a path of the other process
        with _given(stdout) as out, _given(stderr) as errors:
            arguments = (body, list(argv), dict(env), place, out, errors)
            self._process = _context.Process(target=_become, args=arguments)
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _given(descriptor: int) -> Connection:
    """Wrap a copy of a descriptor, in what multiprocessing can hand over."""
    return Connection(os.dup(descriptor))


def _become(
    body: Callable[[], object],
    argv: list[str],
    env: dict[str, str],
    cwd: str,
    out: Connection,
    errors: Connection,
) -> None:
    """Be the program; in the new process."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))  # as Python does when it starts
    for number, given in ((1, out), (2, errors)):
        os.dup2(given.fileno(), number)
        given.close()
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    gc.set_threshold(*COLLECTED)
    body()
