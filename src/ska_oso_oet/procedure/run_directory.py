"""RunDirectory: the temporary files of one life of the controller and of its workers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from ska_oso_oet.held_file import Held, HeldFile

_PREFIX: Final = "oet-run-"
_LOCK: Final = "lock"


class RunDirectory:
    """A directory below the system's for temporary files, deleted by `close`.

    What a controller that was killed has left behind is deleted when the next one of its user begins.
    """

    def __init__(self) -> None:
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        self._lock = HeldFile(made / _LOCK, f"pid {os.getpid()}")
        # Nobody sees it under its name before it is held.
        self.path = made.rename(made.with_name(made.name.removeprefix(".")))

    def folder(self, name: str) -> Path:
        """Make a folder in it."""
        folder = self.path / name
        folder.mkdir()
        return folder

    def close(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def delete_left_behind() -> None:
    """Delete the directories of this user's controllers that are no more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.getuid():
                continue
            lock = HeldFile(path / _LOCK, "deleting")
        except (OSError, Held):
            continue  # in use, or gone already
        shutil.rmtree(path, ignore_errors=True)
        lock.release()
