"""Room on the disk is looked for before anything is started, and put up with where it ends later."""

from __future__ import annotations

import os
from logging.handlers import RotatingFileHandler
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from pathlib import Path

FIRST_BYTES: Final = 4 * 1024 * 1024
"""What a stack writes in its first minutes: the Tango database, the history, logs."""


def need_room(directory: Path) -> None:
    """Raise OSError where a directory has no room for what a stack writes first.

    Else the database or the controller would end at some later write, with a message that names no file.
    """
    with TemporaryFile(dir=directory) as probe:
        os.posix_fallocate(probe.fileno(), 0, FIRST_BYTES)


class LogFile(RotatingFileHandler):
    """A log that ends where the disk does: a server is not to end, or to be drowned, for want of its log."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of the original
        """Leave the line out."""
