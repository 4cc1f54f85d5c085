"""More connections than a server has descriptors by default, each with half a request."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import tango
from tango.test_context import parse_ior

from ska_oso_oet.embedded import rest_is_installed
from ska_oso_oet.resources import program
from tests.system.oet_program import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.stack_process import StackProcess

COUNT = 1100
CONTROLLER = "mid-oso/oet-controller/01"


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= before[1] < 2 * COUNT:
        pytest.skip("this system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * COUNT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def half_open(held: ExitStack, host: str, port: int, content: bytes) -> None:
    for _ in range(COUNT):
        connection = held.enter_context(closing(socket.create_connection((host, port), timeout=DEADLINE)))
        connection.sendall(content)


@pytest.mark.skipif(not rest_is_installed(), reason="the extra rest is not installed")
def test_half_open_connections_keep_nobody_from_the_http_api(own_stack: StackProcess) -> None:
    url = urlsplit(own_stack.rest_url)
    with ExitStack() as held:
        half_open(held, str(url.hostname), int(url.port or 0), b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(3):
            with urllib.request.urlopen(f"{own_stack.rest_url}/procedures", timeout=DEADLINE) as answer:
                assert json.load(answer) == {"procedures": []}
    log = own_stack.data_dir / "logs" / "OETRestAdapter-01.log"
    assert log.stat().st_size < 100_000
    assert own_stack.stop() == 0


def test_half_open_connections_to_the_controller_are_closed(own_stack: StackProcess) -> None:
    database = tango.Database(*own_stack.tango_host.split(":"))
    told = database.command_inout("DbImportDevice", CONTROLLER)
    port = parse_ior(told[1][1]).port
    idle = tango.DeviceProxy(f"tango://{own_stack.tango_host}/{CONTROLLER}")
    ask_at_once(idle)
    with ExitStack() as held:
        half_open(held, "127.0.0.1", port, b"GIOP\x01\x02")
        own_stack.wait_until(lambda: answers(own_stack), "an answer of the controller")
        # Its connections, of which it had several, were not taken for half-open ones.
        assert idle.ping() > 0
    assert own_stack.stop() == 0


def ask_at_once(proxy: tango.DeviceProxy) -> None:
    """Have omniORB make several connections: it makes one for each call that waits for its reply."""
    together = threading.Barrier(4)

    def ask() -> None:
        with tango.EnsureOmniThread():
            together.wait(DEADLINE)
            for _ in range(20):
                proxy.command_inout("GetStatus")

    with ThreadPoolExecutor(together.parties) as threads:
        for each in [threads.submit(ask) for _ in range(together.parties)]:
            each.result(DEADLINE)


def answers(stack: StackProcess) -> bool:
    asking = [program("oet"), "--timeout", "20", "procedure", "list"]
    done = subprocess.run(asking, env=stack.env, capture_output=True, timeout=DEADLINE, check=False)
    return done.returncode == 0
