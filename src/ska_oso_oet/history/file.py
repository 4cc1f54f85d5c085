"""HistoryFile notices when somebody deletes, moves or replaces the SQLite file of the history."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from ska_oso_oet.private_files import make_private_file

if TYPE_CHECKING:
    from pathlib import Path

_Identity = tuple[int, int]


class HistoryFile:
    """Holds the file open, so that all that it has can be written to another one when it has gone.

    Used by the thread that writes; `is_lost` by any.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: sqlite3.Connection | None = None
        self._identity: _Identity | None = None
        self._companions: dict[Path, _Identity | None] = {}

    @property
    def is_lost(self) -> bool:
        """Whether the file is no longer where it was when it was last held."""
        return self._identity is not None and self._identity != _identity(self.path)

    @property
    def is_there(self) -> bool:
        """Whether there is a file at its place, this one or another."""
        return _identity(self.path) is not None

    def make_folder(self) -> None:
        """Make the directory of the file, if there is none; raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self) -> None:
        """Have a file that only its user can read, as what scripts print is in it; raises OSError."""
        self.make_folder()
        make_private_file(self.path)
        for companion in self._beside():
            if companion.exists():
                make_private_file(companion)

    def hold(self) -> None:
        """Hold the file that is there now."""
        self.release()
        held = sqlite3.connect(self.path, check_same_thread=False)
        held.execute("SELECT count(*) FROM sqlite_master").fetchone()  # it is opened only when it is read
        self._held, self._identity = held, _identity(self.path)
        self._companions = {path: _identity(path) for path in self._beside()}

    def release(self) -> None:
        """Hold it no longer."""
        held, self._held, self._identity = self._held, None, None
        if held is not None:
            held.close()

    def write_again(self) -> None:
        """Write all that the file had to a new one in its place.

        Raises OSError; FileExistsError when there is another one by now.
        """
        if self._held is None:
            raise OSError("nothing is left of it")
        new = self.path.with_name(f"{self.path.name}.new")
        new.unlink(missing_ok=True)
        make_private_file(new)
        try:
            with closing(sqlite3.connect(new)) as target:
                self._held.backup(target)
            self.leave_companions()
            os.link(new, self.path)
        except sqlite3.Error as error:
            raise OSError(f"it cannot be written again: {error}") from error
        finally:
            new.unlink(missing_ok=True)

    def leave_companions(self) -> None:
        """Delete what SQLite had made beside the file: a new file of the same name would be read with it."""
        for path, identity in self._companions.items():
            if identity is not None and identity == _identity(path):
                path.unlink(missing_ok=True)

    def _beside(self) -> list[Path]:
        return [self.path.with_name(f"{self.path.name}{suffix}") for suffix in ("-wal", "-shm")]


def _identity(path: Path) -> _Identity | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None
