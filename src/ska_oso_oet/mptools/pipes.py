"""The descriptors between the engine and one worker: a channel for messages and two pipes for output."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from ska_oso_oet.mptools.stream import Reader, Writer

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
        self._writer = Writer(loop, self._channel, on_broken)
        self.inbox = Reader(loop, inbox, on_data)
        self._outputs = [
            Reader(loop, out, partial(on_output, "stdout"), _OUTPUT_CHUNK),
            Reader(loop, err, partial(on_output, "stderr"), _OUTPUT_CHUNK),
        ]

    @property
    def pending(self) -> int:
        """Bytes that the worker has not taken yet."""
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
        """Take what the process had sent, once it is dead, and give the descriptors back."""
        self.release_child_fds()
        self.inbox.finish()
        for reader in self._outputs:
            reader.finish()
        self._writer.close()
        os.close(self._channel)
