"""Scan IDs come from a file that scripts share, or from a service."""

from __future__ import annotations

import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ska_oso_oet.errors import OetError
from ska_oso_oet.scripting.proxies import call

if TYPE_CHECKING:
    from collections.abc import Iterator

SCAN_ID_FILE = "OET_SCAN_ID_FILE"
SKUID_URL = "SKUID_URL"


class ScanIdUnavailable(OetError):
    """No scan ID is available; the message has the reason."""

    code = "OET_ScanIdUnavailable"


class ScanIdGenerator(Protocol):
    """A source of scan IDs."""

    def next(self) -> int:
        """Return an ID that nobody else gets."""

    @property
    def value(self) -> int:
        """The current scan ID."""


class LocalScanIdGenerator:
    """Scan IDs that are unique among the procedures of one controller.

    The count is the length of the file that OET_SCAN_ID_FILE names, which the controller sets for its
    scripts. To get an ID means to append one byte: the operating system does that at once or not at all, so
    there is no lock that could be waited for or left behind, and IDs go on increasing when scripts, the
    controller or the machine's processes die. Where the variable is unset the IDs are unique in this
    process.
    """

    def __init__(self, start: int = 1) -> None:
        """Give out IDs from `start` (1 or more) upwards, or from where the count has come to."""
        if not 1 <= start <= _LARGEST:
            raise ValueError(f"a scan ID is from 1 to {_LARGEST}, not {start}")
        path = os.environ.get(SCAN_ID_FILE)
        self._count: _FileCount | _ProcessCount = _FileCount(Path(path)) if path else _PROCESS
        self._count.raise_to(start - 1)

    @property
    def value(self) -> int:
        """The current scan ID: the one that the next caller of next() will get."""
        return self._count.now() + 1

    def next(self) -> int:
        """Get the next scan ID."""
        return self._count.up()


class RemoteScanIdGenerator:
    """Scan IDs of the SKA unique identifier service (skuid)."""

    def __init__(self, hostname: str, timeout: float = 10.0) -> None:
        """Ask `hostname`, written `host` or `host:port`; `timeout` is in seconds."""
        self._url = f"http://{hostname}/skuid/ska_scan_id"
        self._timeout = timeout
        self._value = 0

    @property
    def value(self) -> int:
        """The current scan ID: the newest that this generator has returned, 0 before the first."""
        return self._value

    def next(self) -> int:
        """Get the next scan ID.

        Raises ScanIdUnavailable when the service does not respond in time or its response is not a scan ID.
        """
        self._value = _scan_id(self._url, call(_fetch, self._url, self._timeout))
        return self._value


def scan_id_generator() -> ScanIdGenerator:
    """Return the generator of this deployment: skuid where SKUID_URL names one, else the local one."""
    hostname = os.environ.get(SKUID_URL)
    return RemoteScanIdGenerator(hostname) if hostname else LocalScanIdGenerator()


_LARGEST = 10**12  # file systems end at about 10**13 bytes; the file is sparse


class _FileCount:
    """A count kept as the length of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> int:
        return self._path.stat().st_size

    def raise_to(self, count: int) -> None:
        """Make the count at least `count`: writing one byte there never makes the file shorter."""
        with self._open(os.O_WRONLY) as descriptor:
            if count:
                os.pwrite(descriptor, b".", count - 1)

    def up(self) -> int:
        # A descriptor of its own: its position after the append is where this very byte went.
        with self._open(os.O_WRONLY | os.O_APPEND) as descriptor:
            os.write(descriptor, b".")
            return os.lseek(descriptor, 0, os.SEEK_CUR)

    @contextmanager
    def _open(self, flags: int) -> Iterator[int]:
        try:
            descriptor = os.open(self._path, flags | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ScanIdUnavailable(f"{SCAN_ID_FILE}={self._path} gives no scan ID: {error}") from error


class _ProcessCount:
    """A count in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def now(self) -> int:
        return self._count

    def raise_to(self, count: int) -> None:
        with self._lock:
            self._count = max(self._count, count)

    def up(self) -> int:
        with self._lock:
            self._count += 1
            return self._count


_PROCESS = _ProcessCount()


def _fetch(url: str, timeout: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - always http
            body: bytes = response.read(10_000)
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise ScanIdUnavailable(f"{url} gives no scan ID: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ScanIdUnavailable(f"{url} gives no scan ID: {error}") from error
    return body


def _scan_id(url: str, body: bytes) -> int:
    try:
        scan_id = json.loads(body)["scan_id"]
    except (ValueError, KeyError, TypeError):
        scan_id = None
    if isinstance(scan_id, bool) or not isinstance(scan_id, int):
        raise ScanIdUnavailable(f'{url} answered {body[:80]!r}, not {{"scan_id": number}}')
    return scan_id
