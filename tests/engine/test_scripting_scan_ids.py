from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.scripting.scan_ids import (
    LocalScanIdGenerator,
    RemoteScanIdGenerator,
    ScanIdUnavailable,
    scan_id_generator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TAKE = """
import sys
from ska_oso_oet.scripting.scan_ids import LocalScanIdGenerator
ids = LocalScanIdGenerator()
print("ready", flush=True)
sys.stdin.readline()
print([ids.next() for _ in range(int(sys.argv[1]))], flush=True)
"""


def taker(count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def taken(process: subprocess.Popen[str]) -> list[int]:
    with process:
        output, _ = process.communicate("go\n", 60)
        ids: list[int] = json.loads(output)
        return ids


@pytest.fixture
def scan_id_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "scan-ids"
    monkeypatch.setenv("OET_SCAN_ID_FILE", str(path))
    return path


# ------------------------------------------------------------------ local


def test_processes_share_the_count(scan_id_file: Path) -> None:
    processes = [taker(1000) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [number for process in processes for number in taken(process)]
    assert sorted(ids) == list(range(1, 3001))


def test_threads_share_the_count(scan_id_file: Path) -> None:
    ids: list[int] = []
    generator = LocalScanIdGenerator()
    threads = [
        threading.Thread(target=lambda: ids.extend(generator.next() for _ in range(500))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(ids) == list(range(1, 1501))


def test_a_killed_taker_leaves_nothing_in_the_way(scan_id_file: Path) -> None:
    process = taker(10**9)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    while not scan_id_file.stat().st_size:
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    generator = LocalScanIdGenerator()
    before = generator.next()
    process.kill()
    process.communicate()
    assert generator.next() > before


def test_the_count_goes_on(scan_id_file: Path) -> None:
    assert [LocalScanIdGenerator().next() for _ in range(3)] == [1, 2, 3]
    assert LocalScanIdGenerator().value == 4
    assert LocalScanIdGenerator().next() == 4


def test_start_raises_the_count_and_never_lowers_it(scan_id_file: Path) -> None:
    assert LocalScanIdGenerator(start=1_000_000_000).next() == 1_000_000_000
    assert LocalScanIdGenerator(start=5).next() == 1_000_000_001
    assert scan_id_file.stat().st_blocks * 512 < 1_000_000


@pytest.mark.parametrize("start", [0, -1, 10**13])
def test_a_start_that_cannot_be_counted_from_is_refused(start: int) -> None:
    with pytest.raises(ValueError, match="a scan ID is from 1 to"):
        LocalScanIdGenerator(start=start)


def test_without_a_file_ids_are_unique_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OET_SCAN_ID_FILE", raising=False)
    first, second = LocalScanIdGenerator(), LocalScanIdGenerator(start=3)
    ids = [first.next(), second.next(), first.next(), second.next()]
    assert ids == sorted(set(ids))
    assert ids[1] >= 3
    assert first.value == ids[-1] + 1


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OET_SCAN_ID_FILE", str(tmp_path / "missing" / "scan-ids"))
    with pytest.raises(ScanIdUnavailable, match="missing/scan-ids gives no scan ID"):
        LocalScanIdGenerator()


# ------------------------------------------------------------------ remote


class Skuid(BaseHTTPRequestHandler):
    status = 200
    answers: tuple[bytes, ...] = ()
    requests: tuple[str, ...] = ()

    def do_GET(self) -> None:
        cls = type(self)
        cls.requests = (*cls.requests, self.path)
        body, cls.answers = cls.answers[0], cls.answers[1:]
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def skuid(*answers: bytes, status: int = 200) -> Iterator[tuple[str, type[Skuid]]]:
    handler = type("Handler", (Skuid,), {"answers": answers, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join(60)


def test_remote_ids_are_those_of_skuid() -> None:
    with skuid(b'{"scan_id": 41}', b'{"scan_id": 42}') as (hostname, handler):
        generator = RemoteScanIdGenerator(hostname)
        assert generator.value == 0
        assert [generator.next(), generator.next()] == [41, 42]
        assert generator.value == 42
        assert handler.requests == ("/skuid/ska_scan_id",) * 2


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"{}", b'{"scan_id": "7"}', b'{"scan_id": true}'])
def test_an_answer_that_is_no_scan_id_is_shown(body: bytes) -> None:
    with skuid(body) as (hostname, _), pytest.raises(ScanIdUnavailable, match="answered b'"):
        RemoteScanIdGenerator(hostname).next()


def test_an_http_error_is_named() -> None:
    with skuid(b"", status=503) as (hostname, _), pytest.raises(ScanIdUnavailable, match="503"):
        RemoteScanIdGenerator(hostname).next()


def test_nobody_listening_is_named() -> None:
    with pytest.raises(ScanIdUnavailable, match="refused"):
        RemoteScanIdGenerator("127.0.0.1:1").next()


def test_the_deployment_chooses(scan_id_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKUID_URL", raising=False)
    assert isinstance(scan_id_generator(), LocalScanIdGenerator)
    monkeypatch.setenv("SKUID_URL", "skuid:9870")
    assert isinstance(scan_id_generator(), RemoteScanIdGenerator)
