"""A handle holds a process of the operating system that somebody else has forked."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class Handle:
    """Signals a process and notices its end, on the thread of `loop`, by a pidfd if there is one.

    `on_end` is called once when it has ended, but never without a pidfd.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pid: int, pidfd: int | None, on_end: Callable[[], None]
    ) -> None:
        self.pid = pid
        self.ended = False
        self._loop = loop
        self._pidfd = pidfd
        self._on_end = on_end
        if pidfd is not None:
            loop.add_reader(pidfd, self._on_readable)

    @property
    def watched(self) -> bool:
        """Whether its end is noticed."""
        return self._pidfd is not None

    def signal(self, signum: int) -> bool:
        """Send a signal; returns whether there is still a process to receive it."""
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signum)
            else:
                os.kill(self.pid, signum)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """Kill it and its process group."""
        if self.signal(signal.SIGKILL):
            self._kill_group()

    def reap(self) -> tuple[int | None, int | None] | None:
        """Kill its group and wait for it, once it has ended: the exit code, or else the signal.

        None when it is no child of this process, as it becomes when the fork server is dead.
        """
        try:
            # It is a zombie until it is waited for, so that the number of its group is still its own.
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._kill_group()
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return None
        code = os.waitstatus_to_exitcode(status)
        return (code, None) if code >= 0 else (None, -code)

    def close(self) -> None:
        """Close the descriptor."""
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _on_readable(self) -> None:
        self.ended = True
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
        self._on_end()
