"""The parent of the fork server ends what workers have left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import TYPE_CHECKING, ClassVar, Final

from ska_oso_oet.mptools.departures import Departures
from ska_oso_oet.mptools.descendants import children_of, has_ended, session_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterable

    OnLeft = Callable[[Collection[int]], None]

_AGAIN_SECS: Final = 0.5


class Orphans:
    """Kills what ended workers have left, wherever it has come to, and reports when all of it is gone.

    The fork server does so as long as it works. When it dies, its workers become children of this process,
    which is a child subreaper, and so does, once they end, what they had started in other sessions.
    `fork_servers` names those that were killed and have not ended, as one in the kernel may not: what they
    have is theirs still. `workers` lists the number and the process of each worker that is not gone. All of
    it happens on the thread of `loop`.
    """

    _ours: ClassVar[set[int]] = set()
    """Fork servers and workers of every context in this process: none of them is an orphan."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fork_servers: Callable[[], Iterable[int]],
        workers: Callable[[], Iterable[tuple[int, int]]],
    ) -> None:
        self._loop = loop
        self._fork_servers = fork_servers
        self._workers = workers
        self._departures = Departures()
        self._on_left: dict[int, OnLeft] = {}
        self._watched: dict[int, int] = {}

    @classmethod
    def spare(cls, pid: int) -> None:
        """Know a process that is no orphan."""
        cls._ours.add(pid)

    @classmethod
    def spare_no_longer(cls, pid: int) -> None:
        """Know that a process has been waited for, or has become an orphan."""
        cls._ours.discard(pid)

    def clear_up(self, number: int, on_left: OnLeft) -> None:
        """Kill what a worker that has ended may have left.

        `on_left` is called with the processes that are still there, and with none when the worker is gone.
        """
        self._departures.begin(number)
        self._on_left[number] = on_left
        self._look()

    def forget(self, number: int) -> None:
        """Report no more of what a worker left."""
        self._departures.forget(number)
        self._on_left.pop(number, None)

    def close(self) -> None:
        """Watch nothing any more."""
        for pid in list(self._watched):
            self._unwatch(pid)

    def _look(self) -> None:
        found = self._find()
        # One that has ended may have left something in turn, that came after the list was made.
        while len(there := [pid for pid in found if self._is_there(pid)]) < len(found):
            found = self._find()
        # The end of some may not have been noticed yet.
        ending = [number for number, pid in self._workers() if has_ended(pid)] if there else []
        gone = self._departures.look(there, ending)
        for number, on_left in list(self._on_left.items()):
            if number in gone:
                del self._on_left[number]
            on_left(self._departures.left_by(number))

    def _find(self) -> list[int]:
        adopted = (pid for pid in children_of(os.getpid()) if self._is_foreign(pid))
        left = (pid for server in self._fork_servers() for pid in children_of(server) if not has_ended(pid))
        return [pid for pid in (*adopted, *left) if pid not in self._ours]

    @staticmethod
    def _is_foreign(pid: int) -> bool:
        # Each worker is in a session of its own, and what it starts can go into a new one but not into ours.
        return session_of(pid) != os.getsid(0)

    def _is_there(self, pid: int) -> bool:
        """Kill an orphan, or reap it if it has ended; returns whether it is still there."""
        try:
            ended = self._watch(pid)
        except ProcessLookupError:
            return False
        except OSError:  # no descriptors are left: its end will not be reported
            self._loop.call_later(_AGAIN_SECS, self._look)
            ended = False
        if not ended:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            return True
        self._unwatch(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return False

    def _watch(self, pid: int) -> bool:
        """Have the end of a process noticed; returns whether it has ended already."""
        if pid not in self._watched:
            self._watched[pid] = descriptor = os.pidfd_open(pid)
            self._loop.add_reader(descriptor, self._on_end, pid)
        poll = select.poll()
        poll.register(self._watched[pid], select.POLLIN)
        return bool(poll.poll(0))

    def _on_end(self, pid: int) -> None:
        self._unwatch(pid)
        self._look()

    def _unwatch(self, pid: int) -> None:
        descriptor = self._watched.pop(pid, None)
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
