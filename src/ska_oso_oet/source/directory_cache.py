"""Directories that are costly to make are made once, shared by processes and deleted when nobody uses them.

Processes agree by `flock` alone, which the kernel releases when its holder dies, whatever killed it::

    <root>/<key>                 symbolic link to the finished directory; renamed into place, last
    <root>/<key>.build           lock of whoever makes it; holds the last failure
    <root>/<key>~<random>/       one attempt: `content/`, and `lock`, shared by its users; the time of
                                 `lock` is the time of the last use

An attempt has a path of its own, so that a program that survives its killed parent writes where nobody looks.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ska_oso_oet.errors import OetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECENT_S = 60.0


def no_message(_line: str) -> None:
    """Ignore the message."""


def exists(_path: Path) -> bool:
    """Accept any finished directory."""
    return True


class DirectoryCache:
    """Finished directories by key, of which at most `max_idle` stay when unused.

    What was used in the last `recent_s` seconds is not deleted: its user may be about to hold it.
    `failure` is the base of the errors that all who wait for one attempt share.
    """

    def __init__(
        self, root: Path, max_idle: int, failure: type[OetError], *, recent_s: float = RECENT_S
    ) -> None:
        self._root = root
        self._max_idle = max_idle
        self._failures = {kind.__name__: kind for kind in (failure, *failure.__subclasses__())}
        self._recent_s = recent_s

    def find(self, key: str, valid: Callable[[Path], bool] = exists) -> Path | None:
        """Return the finished directory of `key`, marked as just used, or None."""
        try:
            content = self._root / (self._root / key).readlink() / "content"
            with self.in_use(content):
                found = content if valid(content) else None
                os.utime(content.parent / "lock")  # after what may take long
                return found
        except FileNotFoundError:
            return None

    def get(
        self,
        key: str,
        make: Callable[[Path], None],
        *,
        valid: Callable[[Path], bool] = exists,
        report: Callable[[str], None] = no_message,
    ) -> Path:
        """Return the finished directory of `key`; make it, or wait for the process that makes it.

        `make` fills an empty directory. If it fails, so do all who waited for it; if its process
        is killed, the next in line makes it.
        """
        try:
            return self.find(key, valid) or self._make_or_wait(key, make, valid, report)
        finally:
            self.trim()

    @contextmanager
    def in_use(self, content: Path) -> Iterator[None]:
        """Keep a directory from being deleted; raise FileNotFoundError if it has been."""
        with _locked(content.parent / "lock", fcntl.LOCK_SH):
            yield

    def trim(self) -> None:
        """Delete what nobody uses beyond `max_idle`, oldest first, and what killed processes left behind."""
        if not self._root.is_dir():
            return
        for rest in self._root.glob(".deleted~*"):
            shutil.rmtree(rest, ignore_errors=True)
        idle = 0
        for attempt in sorted(self._attempts(), key=_last_used, reverse=True):
            if self._is_current(attempt):
                idle += _is_free(attempt / "lock")
                if idle <= self._max_idle:
                    continue
            self._delete(attempt)
        self._delete_locks()

    def _make_or_wait(
        self,
        key: str,
        make: Callable[[Path], None],
        valid: Callable[[Path], bool],
        report: Callable[[str], None],
    ) -> Path:
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / f"{key}.build"
        earlier = _content(path)
        if not _is_free(path):
            report("waiting for another process that is making the same")
        with _locked(path, fcntl.LOCK_EX, create=True) as lock:
            if found := self.find(key, valid):
                return found
            if (failure := _content(path)) and failure != earlier:
                record = json.loads(failure)
                raise self._failures[record["error"]](record["message"])
            try:
                return self._make(key, make)
            except OetError as error:
                self._share(error, lock)
                raise

    def _share(self, error: OetError, lock: int) -> None:
        """Leave a failure for those who wait; its id distinguishes it from an equal one before."""
        name = type(error).__name__
        if name in self._failures:
            record = {"id": uuid.uuid4().hex, "error": name, "message": str(error)}
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(record).encode(), 0)  # one write: there as a whole or not at all

    def _make(self, key: str, make: Callable[[Path], None]) -> Path:
        attempt = Path(tempfile.mkdtemp(prefix=f"{key}~", dir=self._root))
        try:
            (attempt / "lock").touch()
            content = attempt / "content"
            content.mkdir()
            make(content)
            os.sync()  # a power cut must not leave a link to files that were never written
            os.utime(attempt / "lock")
            link = attempt / "link"
            link.symlink_to(attempt.name)
            link.replace(self._root / key)
        except BaseException:
            shutil.rmtree(attempt, ignore_errors=True)
            raise
        return content

    def _attempts(self) -> list[Path]:
        return [path for path in self._root.glob("*~*") if not path.name.startswith(".")]

    def _is_current(self, attempt: Path) -> bool:
        try:
            return (self._root / _key(attempt)).readlink().name == attempt.name
        except FileNotFoundError:
            return False

    def _delete(self, attempt: Path) -> None:
        """Delete an attempt, unless somebody makes, uses or has just used it."""
        unless_busy = fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            with (
                _locked(self._root / f"{_key(attempt)}.build", unless_busy, create=True),
                _locked(attempt / "lock", unless_busy, create=True),
            ):
                if self._is_current(attempt):
                    if time.time() - _last_used(attempt) < self._recent_s:
                        return
                    (self._root / _key(attempt)).unlink()
                # Renamed, so that nobody waits on its lock while the files are deleted.
                rest = attempt.rename(self._root / f".deleted~{uuid.uuid4().hex}")
        except OSError:
            return  # busy, or already gone; if not, the next trim tries again
        shutil.rmtree(rest, ignore_errors=True)

    def _delete_locks(self) -> None:
        """Delete build locks that belong to nothing; a fresh failure stays for those who wait for it."""
        keys = {_key(attempt) for attempt in self._attempts()}
        for path in self._root.glob("*.build"):
            try:
                if path.stem in keys or time.time() - path.stat().st_mtime < self._recent_s:
                    continue
                with _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    path.unlink()
            except OSError:
                continue  # somebody is making it


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _key(attempt: Path) -> str:
    return attempt.name.rpartition("~")[0]


def _last_used(attempt: Path) -> float:
    try:
        return (attempt / "lock").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_free(path: Path) -> bool:
    try:
        with _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True


@contextmanager
def _locked(path: Path, operation: int, *, create: bool = False) -> Iterator[int]:
    """Hold `flock` on a file; raise FileNotFoundError without it, BlockingIOError when LOCK_NB and held."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        try:
            fcntl.flock(lock, operation)
            if _is_same_file(lock, path):  # else it was deleted by the holder that was waited for
                yield lock
                return
        finally:
            os.close(lock)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
