"""RunDirectory has the temporary files of one life of the controller and of its workers."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "oet-run-"


class RunDirectory:
    """A directory below the system's for temporary files, deleted by `close`.

    It is locked (`flock`), which keeps systemd-tmpfiles from it; where something else tidies up, it is made
    anew. What a controller that was killed has left behind is deleted when the next one of its user begins.
    """

    def __init__(self) -> None:
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        self._held = _lock(made)
        # Nobody sees it under its name before it is held.
        self.path = made.rename(made.with_name(made.name.removeprefix(".")))
        self._making = threading.Lock()
        self._deleting = ThreadPoolExecutor(1, thread_name_prefix="run-directory")
        self._closed = False

    def folder(self, name: str) -> Path:
        """Return a folder in it, which is there; raises OSError."""
        with self._making:
            if not self._is_there():
                self._make_anew()
            folder = self.path / name
            folder.mkdir(exist_ok=True)
            return folder

    def discard(self, folder: Path) -> None:
        """Have a folder deleted; returns at once, as there may be many files in it."""
        with suppress(RuntimeError):  # this is closed, and deleted as a whole
            self._deleting.submit(shutil.rmtree, folder, ignore_errors=True)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._held), self.path.lstat())
        except FileNotFoundError:
            return False

    def _make_anew(self) -> None:
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        held = _lock(self.path)
        os.close(self._held)
        self._held = held

    def close(self) -> None:
        """Delete it; once is enough."""
        if not self._closed:
            self._closed = True
            self._deleting.shutdown(cancel_futures=True)
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._held)


def delete_left_behind() -> None:
    """Delete the directories of this user's controllers that are no more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            held = _lock(path)
        except OSError:
            continue  # in use, somebody else's, or gone already
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def _lock(path: Path) -> int:
    """Hold a directory until the descriptor is closed or this process ends; raises OSError.

    A directory of this user only: below a place that all write to, another user may have one of this name.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if os.fstat(descriptor).st_uid != os.getuid():
        os.close(descriptor)
        raise PermissionError(f"directory {path} belongs to another user")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
