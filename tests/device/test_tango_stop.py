from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import tango

from tests.device.lrc_server import DEADLINE, serving, until
from tests.reserved_port import reserved_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reserved_port() as port, serving(port) as served:
        yield served


SCRIPT = """
import os, signal, sys, time
from ska_oso_oet.tango import *

class Stopped(BaseException):
    pass

def stop(*_):
    raise Stopped

signal.signal(signal.SIGTERM, stop)
device, silent = sys.argv[1:]
executor = TangoExecutor()
value = Attribute(device, "value")
identifier = executor.subscribe_event(value)
executor.read_event(value, timeout=30)
try:
    print("ready", flush=True)
    {wait}
except Stopped:
    print("stopped", time.time(), flush=True)
    os._exit(7)  # as the children of a fork server end
"""
BOUND = 2.5  # seconds; Tango gives up after 3
WAITS = {
    "read_event": "executor.read_event(value)",
    "wait_for": "executor.wait_for(value, lambda v: False)",
    "execute": "executor.execute(Command(device, 'Sleep', 2.9))",
    "execute_lrc": "executor.execute_lrc(Command(device, 'Work', '[]'))",
    "unreachable": "executor.read(Attribute(f'tango://{silent}/a/b/c#dbase=no', 'x'))",
    "skuid": "RemoteScanIdGenerator(silent, timeout=60).next()",
}


@pytest.mark.parametrize("wait", WAITS)
def test_sigterm_interrupts_at_once(wait: str, url: str, tmp_path: Path) -> None:
    """What is waited for never comes; a call of Tango's ends by itself, but not within the bound."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(wait=WAITS[wait]))
    device, other = f"{url}/1#dbase=no", f"{url}/2#dbase=no"
    asked = commands(other)
    with ExitStack() as connections, socket.create_server(("127.0.0.1", 0)) as silent:
        arguments = [device, f"127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(
            [sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if wait in {"execute", "execute_lrc"}:
                until(lambda: commands(other) > asked)
            elif wait in {"unreachable", "skuid"}:
                connections.enter_context(silent.accept()[0])
            else:
                time.sleep(0.3)  # nothing tells from outside that the process has begun to wait
            sent = time.time()
            process.send_signal(signal.SIGTERM)
            word, at = process.stdout.readline().split()
            process.wait(DEADLINE)
    assert word == "stopped"
    if wait in {"execute", "unreachable"}:
        assert float(at) - sent < BOUND
    assert process.returncode == 7


def test_what_was_sent_can_be_waited_for(url: str, tmp_path: Path) -> None:
    """So that a script's clean-up comes to the device after the command that the stop interrupted."""
    script = tmp_path / "script.py"
    wait = "executor.execute(Command(device, 'Sleep', 1.0))"
    settled = "before = len(_in_flight); settle(10); print(before, len(_in_flight), flush=True)"
    script.write_text(
        SCRIPT.replace("{wait}", wait)
        .replace("import *", "import *\nfrom ska_oso_oet.scripting.proxies import _in_flight, settle")
        .replace("os._exit", f"{settled}; os._exit")
    )
    device, other = f"{url}/1#dbase=no", f"{url}/2#dbase=no"
    asked = commands(other)
    with subprocess.Popen(
        [sys.executable, str(script), device, "-"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        until(lambda: commands(other) > asked)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline().startswith("stopped")
        assert process.stdout.readline() == "1 0\n"
        assert process.wait(DEADLINE) == 7


def commands(device: str) -> int:
    """How many commands the server has received; asked of a device that is not busy with one."""
    return int(tango.DeviceProxy(device).commands)
