"""The HTTP API on a running stack, with an adapter that a test may stop, and a killed controller."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import tango

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.stack_process import StackProcess

DEADLINE = 60.0
ENDED = {"COMPLETE", "FAILED", "STOPPED"}
ADAPTER = "test/oet-rest-adapter/1"
INSTANCE = "test"
SERVE = "from ska_oso_oet.main import rest_adapter; rest_adapter()"
ENDPOINT = ("-ORBendPoint", "giop:tcp:127.0.0.1:0")
SCRIPT = """
import time

def init(subarray_id=None, sb_uri=None, dishes=()):
    pass

def main(scan_duration=0.0):
    time.sleep(scan_duration)
"""


@contextmanager
def adapter(stack: StackProcess) -> Iterator[tango.DeviceProxy]:
    """Run an adapter of the test's own, on a free port."""
    register(stack)
    argv = [sys.executable, "-c", SERVE, INSTANCE, *ENDPOINT]
    environment = {**stack.env, "OET_REST_PORT": "0", "OET_STACK": str(stack.data_dir)}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                if b"Ready to accept" in line:
                    break
            assert process.poll() is None, b"".join(lines)
            drain = threading.Thread(target=process.stdout.read)
            drain.start()
            proxy = tango.DeviceProxy(f"tango://{stack.tango_host}/{ADAPTER}")
            stack.wait_until(lambda: bool(proxy.url), "the start of the HTTP service")
            root = httpx.URL(proxy.url).join("/readyz")
            stack.wait_until(lambda: httpx.get(root).status_code == 200, "the link to the controller")
            yield proxy
        finally:
            process.terminate()
            process.wait(DEADLINE)
            drain.join()


def register(stack: StackProcess) -> None:
    host, _, port = stack.tango_host.partition(":")
    database = tango.Database(host, int(port))
    device = tango.DbDevInfo()
    device.server, device._class, device.name = f"OETRestAdapter/{INSTANCE}", "OETRestAdapter", ADAPTER
    database.add_device(device)
    database.put_device_attribute_property(ADAPTER, {"adminMode": {"__value": ["0"]}})


@pytest.fixture(scope="module")
def served(stack: StackProcess) -> Iterator[str]:
    with adapter(stack) as proxy:
        yield proxy.url


@pytest.fixture
def rest(served: str) -> Iterator[str]:
    """The URL of the API; what a test has left alive is stopped."""
    yield served
    for procedure in httpx.get(f"{served}/procedures").json()["procedures"]:
        if procedure["state"] not in ENDED:
            httpx.put(procedure["uri"], json={"state": "STOPPED"}, timeout=DEADLINE)


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "observing_script.py"
    path.write_text(SCRIPT)
    return path.as_uri()


def wait_for(url: str, *states: str) -> dict[str, Any]:
    """Wait for a state of a procedure by the events of the stream."""
    with httpx.stream("GET", url.partition("/procedures")[0] + "/stream", timeout=DEADLINE) as stream:
        lines = stream.iter_lines()
        while True:
            procedure: dict[str, Any] = httpx.get(url).json()["procedure"]
            if procedure["state"] in states:
                return procedure
            next(line for line in lines if "procedure.lifecycle." in line)


def test_a_whole_procedure_can_be_put_back(rest: str, script: str) -> None:
    """Start and stop by changing the state of the document that was read."""
    uri = httpx.post(f"{rest}/procedures", json={"script_uri": script}).headers["Location"]
    ready = wait_for(uri, "READY")
    started = httpx.put(uri, json={**ready, "state": "RUNNING"})
    assert started.status_code == 200, started.text
    assert wait_for(uri, "COMPLETE")["exit"]["cause"] == "returned"


def test_activities(rest: str) -> None:
    listed = httpx.get(f"{rest}/activities")
    assert (listed.status_code, "activities" in listed.json()) == (200, True)
    asked = {"activity_name": "allocate", "sbd_id": "sbd-nobody-knows", "prepare_only": True}
    ran = httpx.post(f"{rest}/activities", json=asked)
    assert ran.status_code == 201, ran.text
    activity = ran.json()["activity"]
    assert ran.headers["Location"] == activity["uri"]
    assert httpx.get(activity["uri"]).json()["activity"]["sbd_id"] == "sbd-nobody-knows"
    missing = httpx.get(f"{rest}/activities/4711").json()
    assert missing["Message"] == "No information available for activity ID=4711"


def test_a_killed_controller_is_503_and_back_by_itself(own_stack: StackProcess, script: str) -> None:
    with adapter(own_stack) as proxy, httpx.Client(base_url=proxy.url, timeout=DEADLINE) as client:
        assert client.post("/procedures", json={"script_uri": script}).status_code == 201
        with client.stream("GET", "/stream", timeout=DEADLINE) as stream:
            lines = stream.iter_lines()
            # Stopped, so that it is away for certain and for as long as this takes.
            server = own_stack.named("OETController")
            server.suspend()
            refused = client.get("/procedures")
            assert (refused.status_code, refused.json()["type"]) == (503, "OET_ControllerUnreachable")
            server.kill()
            next(line for line in lines if line == "event:epoch")
            own_stack.wait_until(lambda: client.get("/procedures").status_code == 200, "the return")
            (lost,) = client.get("/procedures").json()["procedures"]
            assert (lost["state"], lost["exit"]["cause"]) == ("FAILED", "controller lost")
            own_stack.wait_until(lambda: proxy.healthState == 0, "health OK")
            created = client.post("/procedures", json={"script_uri": script})
            command_id = created.json()["procedure"]["command_id"]
            next(line for line in lines if command_id in line)


def test_another_port_by_property_and_init(own_stack: StackProcess) -> None:
    with adapter(own_stack) as proxy, socket.socket() as probe:
        before = proxy.url
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        proxy.put_property({"Port": [str(port)]})
        proxy.Init()
        own_stack.wait_until(lambda: bool(proxy.url), "the start of the HTTP service")
        assert proxy.url == f"http://127.0.0.1:{port}/api/v1.0"
        assert httpx.get(f"{proxy.url}/activities").status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(before)


def test_many_idle_streams_are_cheap(rest: str, stack: StackProcess) -> None:
    """Some hundred clients that only listen: no thread each, and the API answers as before."""
    count = 200
    with httpx.Client(limits=httpx.Limits(max_connections=None), timeout=DEADLINE) as client:
        before = _adapter_threads(stack)
        streams = [
            client.send(client.build_request("GET", f"{rest}/stream"), stream=True) for _ in range(count)
        ]
        assert {stream.status_code for stream in streams} == {200}
        assert httpx.get(f"{rest}/procedures").status_code == 200
        assert _adapter_threads(stack) <= before + 12  # those that make calls, not one each
        for stream in streams:
            stream.close()


def _adapter_threads(stack: StackProcess) -> int:
    return int(stack.named("rest_adapter()").num_threads())
