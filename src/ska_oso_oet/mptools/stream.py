"""Sockets and pipes are read and written on the engine's event loop, without ever blocking it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_CHUNK = 16384
_MOST_LEFT = 4 * 1024 * 1024  # more than a pipe or a socket holds


class FdReader:
    """Reads a descriptor as data comes, and owns it.

    A chunk is small, so that one busy writer cannot keep the loop from the others.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_data: Callable[[bytes], None], chunk: int = _CHUNK
    ) -> None:
        os.set_blocking(fd, False)
        self._loop = loop
        self._fd = fd
        self._on_data = on_data
        self._chunk = chunk
        self._reading = False
        self.closed = False
        self.resume()

    def pause(self) -> None:
        """Leave data where it is; the writer will have to wait."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume(self) -> None:
        """Read again."""
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._on_readable)

    def finish(self) -> None:
        """Read what there is, once the writer is known to be dead, and close.

        Somebody else who has the descriptor too may go on writing; that is not waited for.
        """
        for _ in range(_MOST_LEFT // self._chunk):
            if self.closed or not self._on_readable():
                break
        self.close()

    def close(self) -> None:
        """Stop reading and close the descriptor."""
        self.pause()
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def _on_readable(self) -> bool:
        try:
            data = os.read(self._fd, self._chunk)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        self._on_data(data)
        return True


class FdWriter:
    """Writes to a descriptor as fast as its reader reads, and keeps the rest; does not own it.

    `on_broken` is called with the reason why nothing can be written any more, unless the reader is gone.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_broken: Callable[[OSError], None]
    ) -> None:
        self._on_broken = on_broken
        self._loop = loop
        self._fd = fd
        self._buffer = bytearray()
        self.closed = False

    @property
    def pending(self) -> int:
        """Bytes that the reader has not read yet."""
        return len(self._buffer)

    def write(self, data: bytes) -> None:
        """Send, now or when there is room; what cannot be delivered to a dead reader is dropped."""
        if self.closed:
            return
        idle = not self._buffer
        self._buffer += data
        if idle:
            self._on_writable()
            if self._buffer:
                self._loop.add_writer(self._fd, self._on_writable)

    def close(self) -> None:
        """Forget what was not sent."""
        if not self.closed:
            self.closed = True
            self._buffer.clear()
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                sent = os.write(self._fd, self._buffer)
            except BlockingIOError:
                raise
            except OSError as error:
                self.close()
                if not isinstance(error, ConnectionError):
                    self._on_broken(error)
                return
            del self._buffer[:sent]
        if not self._buffer:
            self._loop.remove_writer(self._fd)
