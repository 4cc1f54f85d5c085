"""A HeldFile is what one process at a time may have, for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Held(Exception):
    """Another process has it; `str(error)` is what that one wrote of itself."""


class HeldFile:
    """A lock file, held until `release` or until this process ends, whatever ends it (`flock`).

    The file names its holder. It is not deleted when it is released: another process may have locked it just
    before. Raises Held, and OSError where there can be no such file.
    """

    def __init__(self, path: Path, holder: str) -> None:
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = self._file.read(200).decode("ascii", "replace")
            self.release()
            raise Held(other or "unknown") from None
        except OSError:
            self.release()
            raise
        with suppress(OSError):  # a full disk: it is held, and only the name of its holder is missing
            self._file.truncate(0)
            self._file.write(holder.encode("ascii", "replace"))

    def release(self) -> None:
        """Let another process have it; may be called again."""
        self._file.close()
