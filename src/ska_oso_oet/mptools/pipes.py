"""Descriptors join the engine and one worker: a channel for messages and two pipes for output."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from ska_oso_oet.mptools.stream import FdReader, FdWriter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Stream = Literal["stdout", "stderr"]
_OUTPUT_CHUNK: Final = 65536


class WorkerPipes:
    """Both ends of the descriptors until the child has its own; then the engine's ends.

    Raises OSError when this process has no descriptors left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_data: Callable[[bytes], None],
        on_output: Callable[[Stream, bytes], None],
        on_broken: Callable[[OSError], None],
    ) -> None:
        fds: list[int] = []
        try:
            fds += [end.detach() for end in socket.socketpair()]
            fds += [*os.pipe(), *os.pipe(), os.dup(fds[0])]
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        self._channel, child_channel, out, child_out, err, child_err, inbox = fds
        self.child_fds = [child_channel, child_out, child_err]
        """What the child gets: channel, stdout, stderr."""
        self._writer = FdWriter(loop, self._channel, on_broken)
        self.inbox = FdReader(loop, inbox, on_data)
        self._outputs = [
            FdReader(loop, out, partial(on_output, "stdout"), _OUTPUT_CHUNK),
            FdReader(loop, err, partial(on_output, "stderr"), _OUTPUT_CHUNK),
        ]

    @property
    def pending(self) -> int:
        """Bytes that the worker has not read yet."""
        return self._writer.pending

    def write(self, data: bytes) -> None:
        """Send to the worker."""
        self._writer.write(data)

    def release_child_fds(self) -> None:
        """Close this process's copies of the child's ends, once the child has them."""
        for fd in self.child_fds:
            os.close(fd)
        self.child_fds = []

    def finish(self) -> None:
        """Read what the process had sent, once it is dead, and close the descriptors."""
        self.release_child_fds()
        self.inbox.finish()
        for reader in self._outputs:
            reader.finish()
        self._writer.close()
        os.close(self._channel)


class WorkerChannel:
    """The pipes of a worker from before they are made; what is sent until then is kept for the worker."""

    def __init__(self, make: Callable[[], WorkerPipes]) -> None:
        self._make = make
        self._pipes: WorkerPipes | None = None
        self._early = bytearray()
        self._draining = False

    @property
    def backlog(self) -> int:
        """Bytes that were sent and that the worker has not read yet."""
        return 0 if self._pipes is None else self._pipes.pending

    def open(self) -> list[int]:
        """Make the pipes, once, and return the ends of the child; raises OSError when none can be made."""
        if self._pipes is None:
            self._pipes = self._make()
            self._pipes.write(bytes(self._early))
        return self._pipes.child_fds

    def send(self, frame: bytes) -> None:
        """Send to the worker, or keep it until there are pipes."""
        if self._pipes is not None:
            self._pipes.write(frame)
        else:
            self._early += frame

    def pause(self) -> None:
        """Let a worker wait that sends too much, unless it is being drained."""
        if self._pipes is not None and not self._draining:
            self._pipes.inbox.pause()

    def resume(self) -> None:
        """Read on."""
        if self._pipes is not None:
            self._pipes.inbox.resume()

    def drain(self) -> None:
        """Read on until the end, whatever comes."""
        self._draining = True
        self.resume()

    def hang_up(self) -> None:
        """Read nothing more of what the worker sends."""
        if self._pipes is not None:
            self._pipes.inbox.close()

    def release_child_fds(self) -> None:
        """Close this process's copies of the child's ends, once the child has them."""
        if self._pipes is not None:
            self._pipes.release_child_fds()

    def finish(self) -> None:
        """Read what the process had sent, once it is dead, and close the descriptors."""
        if self._pipes is not None:
            self._pipes.finish()
