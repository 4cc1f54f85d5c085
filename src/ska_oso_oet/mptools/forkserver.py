"""The fork server is a clean process that forks workers, sees them die and cleans up behind them.

`python -P -m ska_oso_oet.mptools.forkserver FD MODULE…` serves the socket FD after it has imported the
modules, so that a worker has them without loading them. It starts no thread and no Tango, which makes its
forks safe.

Requests and replies are JSON objects, one a packet:

* `{"fork": ID, "target": "module:Class", "name", "args", "kwargs", "sys_path"}` with three descriptors (the
  worker's channel, its stdout, its stderr) → `{"forked": ID, "pid": PID}` with a pidfd, or
  `{"failed": ID, "why": TEXT}`;
* later, once the process has ended, `{"exited": ID, "code": N or null, "signal": N or null}`. By then its
  process group has been killed;
* then `{"left": ID, "pids": [PID, …]}`, until there are none: what it may have left in other sessions and is
  still there. As a child subreaper the fork server inherits that, kills it, and what it leaves behind.

When the socket closes, the controller is gone: every worker is asked to end by SIGTERM, killed after
LAST_GRACE_SECS, and the fork server ends.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import sys
from time import monotonic
from typing import Any, Final

from ska_oso_oet.mptools.departures import Departures
from ska_oso_oet.mptools.descendants import become_subreaper, children_of, has_ended, offer_to_oom_killer
from ska_oso_oet.mptools.worker import run_child

LAST_GRACE_SECS: Final = 1.0
OOM_SCORE: Final = 300
"""Rather this process than the controller, which can make another one; rather a worker than this one."""
_PACKET: Final = 65536
_FDS: Final = 3
_log = logging.getLogger(__name__)


class ForkServer:
    """Serves one controller until it is gone."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, int] = {}
        self._departures = Departures()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)

    def serve(self) -> None:
        """Serve requests until the controller is gone, then end every worker."""
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._send({"ready": os.getpid()})
        while True:
            if self._wait([self._control.fileno()]) and not self._serve_one():
                break
        self._end_workers()

    def _wait(self, fds: list[int], timeout: float | None = None) -> bool:
        """Wait for one of the descriptors and reap who dies meanwhile; returns whether one is ready."""
        readable, _, _ = select.select([*fds, self._wake_reader], [], [], timeout)
        if self._wake_reader in readable:
            with contextlib.suppress(BlockingIOError):
                while os.read(self._wake_reader, 512):
                    pass
            self._reap()
        return any(fd in readable for fd in fds)

    def _serve_one(self) -> bool:
        try:
            packet, fds, _, _ = socket.recv_fds(self._control, _PACKET, _FDS)
        except ConnectionError:
            return False
        if not packet:
            return False
        request = json.loads(packet)
        try:
            pid = os.fork()
        except OSError as error:
            self._send({"failed": request["fork"], "why": f"the system could not fork: {error}"})
        else:
            if pid == 0:
                self._be_worker(request, fds)
            self._workers[pid] = request["fork"]
            self._announce(request["fork"], pid)
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _announce(self, number: int, pid: int) -> None:
        pidfd = os.pidfd_open(pid)
        self._send({"forked": number, "pid": pid}, [pidfd])
        os.close(pidfd)

    def _be_worker(self, request: dict[str, Any], fds: list[int]) -> None:
        """Become the worker: nothing of the fork server stays open, and nothing returns from here."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            become_subreaper()
            self._control.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            os.dup2(fds[1], 1)
            os.dup2(fds[2], 2)
            for fd in fds[1:]:
                os.close(fd)
            code = run_child(request, socket.socket(fileno=fds[0]))
        finally:
            # A fork never returns into the fork server; see ProgramEnd for what was done before.
            os._exit(code)

    def _reap(self) -> None:
        """Reap each process that died, and kill what it left behind."""
        while (dead := _next_zombie()) is not None:
            number = self._workers.get(dead)
            if number is not None:
                # The leader is still a zombie here, so that its group's number cannot have been used again.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(dead, signal.SIGKILL)
            _, status = os.waitpid(dead, 0)
            if number is not None:
                del self._workers[dead]
                self._report_exit(number, os.waitstatus_to_exitcode(status))
        orphans = self._orphans()
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        # Who ended since the loop above may have left some of them.
        ending = [number for pid, number in self._workers.items() if has_ended(pid)] if orphans else []
        for number in self._departures.look(orphans, ending):
            self._send({"left": number, "pids": []})
        for number, pids in self._departures:
            self._send({"left": number, "pids": sorted(pids)})

    def _report_exit(self, number: int, code: int) -> None:
        self._departures.begin(number)
        self._send(
            {"exited": number, "code": code if code >= 0 else None, "signal": -code if code < 0 else None}
        )

    def _orphans(self) -> list[int]:
        """List what dead workers, or those whom they left, had started in sessions of their own."""
        return [pid for pid in children_of(os.getpid()) if pid not in self._workers]

    def _send(self, reply: dict[str, Any], fds: list[int] | None = None) -> None:
        # A controller that is gone is noticed by the next read.
        with contextlib.suppress(ConnectionError):
            socket.send_fds(self._control, [json.dumps(reply).encode()], fds or [])

    def _end_workers(self) -> None:
        # None of them is reaped yet, so that the numbers are still their own.
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        self._wait_for_ends()
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)  # its group is killed when it is reaped
        self._wait_for_ends()

    def _wait_for_ends(self) -> None:
        deadline = monotonic() + LAST_GRACE_SECS
        while (self._workers or self._orphans()) and (left := deadline - monotonic()) > 0:
            self._wait([], left)


def _next_zombie() -> int | None:
    try:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if info is None else info.si_pid


def preload(modules: list[str]) -> None:
    """Import what workers will want; what cannot be imported is reported, and workers try it themselves."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            _log.exception("the fork server could not preload %s", module)


def main(argv: list[str]) -> None:
    """Serve the socket whose descriptor is `argv[0]`, with the modules that follow it preloaded."""
    logging.basicConfig(format="%(asctime)s %(levelname)s fork server: %(message)s")
    # Whatever the controller's threads block or ignore is not inherited. SIGTERM may go to all processes of a
    # service; the controller decides what ends. It is blocked rather than ignored, so that one which is meant
    # for a worker waits until the worker can receive it.
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGTERM])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    become_subreaper()
    offer_to_oom_killer(OOM_SCORE)
    control = socket.socket(fileno=int(argv[0]))
    preload(argv[1:])
    gc.collect()
    gc.freeze()  # keeps the collector from touching, and so copying, the pages that workers share
    ForkServer(control).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
