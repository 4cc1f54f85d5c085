"""FilesystemOda keeps Scheduling Blocks in `sbd/<sbd_id>/<version>.json` and `sbi/<sbi_id>.json`."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ska_oso_oet.oda.document import is_id, require_id
from ska_oso_oet.oda.errors import OdaUnavailable, SBAlreadyExists, SBDefinitionNotFound, SBInstanceNotFound
from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
from ska_oso_oet.oda.sbinstance import SBInstance, SBInstanceEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FilesystemOda:
    """The ODA in a directory, which is made when something is first stored.

    Several processes may use it at once: a file appears whole or not at all, and is never replaced.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._sbds = data_dir / "sbd"
        self._sbis = data_dir / "sbi"
        self._data_dir = data_dir
        self._clock = clock

    @property
    def name(self) -> str:
        """Which directory this is."""
        return f"directory {self._data_dir}"

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        """Read a version of an SBDefinition, without `version` its newest one."""
        require_id("sbd_id", sbd_id)
        with self._available():
            versions = _versions(self._sbds / sbd_id)
            if not versions:
                raise SBDefinitionNotFound(f"the ODA has no SBDefinition {sbd_id}")
            wanted = versions[-1] if version is None else version
            if wanted not in versions:
                raise SBDefinitionNotFound(f"{sbd_id} has no version {wanted}; the newest is {versions[-1]}")
            content = (self._sbds / sbd_id / f"{wanted}.json").read_bytes()
        return SBDefinition.stored_as(sbd_id, wanted, content)

    def list_sbds(self) -> list[SBDefinitionEntry]:
        """List the newest version of every SBDefinition, by id."""
        entries = []
        with self._available():
            folders = sorted(self._sbds.iterdir()) if self._sbds.exists() else []
            for folder in folders:
                if is_id(folder.name) and (versions := _versions(folder)):
                    document = _decode((folder / f"{versions[-1]}.json").read_bytes())
                    entries.append(SBDefinitionEntry.of(folder.name, versions[-1], document))
        return entries

    def add_sbd(self, sbd: SBDefinition, user: str) -> SBDefinition:
        """Store a document under the version that it names, or as the next one."""
        folder = self._sbds / sbd.sbd_id
        with self._available():
            _make_dir(folder)
            if sbd.version is not None:
                return self._add_version(folder, sbd, sbd.version)
            while True:
                number = (_versions(folder) or [0])[-1] + 1
                stamped = sbd.stamped(number, user, self._clock())
                # Taken by another writer in between: the next number is tried.
                with suppress(FileExistsError):
                    _create(folder / f"{number}.json", stamped.to_json())
                    return stamped

    def _add_version(self, folder: Path, sbd: SBDefinition, version: int) -> SBDefinition:
        path = folder / f"{version}.json"
        try:
            _create(path, sbd.to_json())
        except FileExistsError:
            if _decode(path.read_bytes()) != sbd.to_dict():
                raise SBAlreadyExists(
                    f"another document is stored as {sbd.sbd_id} version {version}"
                ) from None
        return sbd

    def get_sbi(self, sbi_id: str) -> SBInstance:
        """Read an SBInstance."""
        require_id("sbi_id", sbi_id)
        with self._available():
            try:
                content = (self._sbis / f"{sbi_id}.json").read_bytes()
            except FileNotFoundError:
                raise SBInstanceNotFound(f"the ODA has no SBInstance {sbi_id}") from None
        return SBInstance.parse(content)

    def list_sbis(self, sbd_id: str | None, limit: int, skipped: int = 0) -> list[SBInstanceEntry]:
        """List SBInstances, newest first; only as many files are read as are needed."""
        with self._available():
            entries = (SBInstanceEntry.of(path.stem, _decode(path.read_bytes())) for path in self._newest())
            wanted = (entry for entry in entries if sbd_id in {None, entry.sbd_id})
            return list(itertools.islice(wanted, skipped, skipped + limit))

    def _newest(self) -> list[Path]:
        """Find the files of SBInstances, which never change, newest first."""
        if not self._sbis.exists():
            return []
        files = [path for path in self._sbis.iterdir() if path.suffix == ".json" and is_id(path.stem)]
        return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)

    def add_sbi(self, sbi: SBInstance, user: str) -> None:  # noqa: ARG002 - files have owners
        """Store a new SBInstance."""
        with self._available():
            _make_dir(self._sbis)
            try:
                _create(self._sbis / f"{sbi.sbi_id}.json", sbi.to_json())
            except FileExistsError:
                raise SBAlreadyExists(f"the ODA has an SBInstance {sbi.sbi_id} already") from None

    def check(self) -> None:
        """Write and remove a file: permissions alone do not show a full or read-only disk."""
        with self._available():
            _make_dir(self._data_dir)
            with tempfile.NamedTemporaryFile(dir=self._data_dir, prefix=".check-") as probe:
                probe.write(b"-")

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def _available(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OdaUnavailable(f"the ODA in {self._data_dir} cannot be used: {error}") from error


def _versions(folder: Path) -> list[int]:
    """Versions in increasing order; files of any other name are not versions."""
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = [name.removesuffix(".json") for name in names if name.endswith(".json")]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and stem[0] != "0")


def _decode(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _make_dir(folder: Path) -> None:
    """Make a directory whose entry survives a power cut."""
    if not folder.is_dir():
        if folder.parent != folder:
            _make_dir(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _create(path: Path, text: str) -> None:
    """Write a new file whole and durably; raises FileExistsError and leaves what is there.

    A hard link appears at once like a rename, but unlike one it does not replace an existing file.
    """
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-", encoding="utf-8") as draft:
        draft.write(text)
        draft.flush()
        os.fsync(draft.fileno())
        os.fchmod(draft.fileno(), 0o644)
        os.link(draft.name, path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
