"""`oet up` with its optional parts: a simulated telescope and the HTTP API."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import textwrap
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE
from ska_oso_oet.embedded import rest_is_installed
from ska_oso_oet.resources import program
from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess

    Start = Callable[..., StackProcess]

START_DEADLINE = 200.0  # as long as each of them gives itself, and a moment more
ADAPTER = "mid-oso/oet-rest-adapter/01"
needs_rest = pytest.mark.skipif(not rest_is_installed(), reason="the extra rest is not installed")

# An interpreter that reads this finds none of the extras.
NO_EXTRAS = """\
    from importlib.machinery import PathFinder
    EXTRAS = {"fastapi", "sse_starlette", "uvicorn", "httpx", "tango_simlib", "pkg_resources"}
    find = PathFinder.find_spec
    PathFinder.find_spec = lambda name, *args: None if name.partition(".")[0] in EXTRAS else find(name, *args)
"""


@pytest.fixture
def oet_up(start_stack: Start, tmp_path: Path) -> Start:
    def begin(*options: str) -> StackProcess:
        data_dir = tmp_path / "data"
        return start_stack([program("oet"), "up", "--port=0", f"--data-dir={data_dir}", *options], data_dir)

    return begin


def time_scale(stack: StackProcess) -> str:
    database = tango.Database(*stack.tango_host.split(":"))
    value: str = database.get_device_property("ska_low/tm_subarray_node/2", "TimeScale")["TimeScale"][0]
    return value


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


@needs_rest
def test_the_ready_line_says_where_the_http_api_is(oet_up: Start) -> None:
    stack = oet_up()
    stack.wait_ready()
    assert stack.rest_url.startswith("http://127.0.0.1:")
    assert stack.rest_url.endswith("/api/v1.0")
    stack.wait_until(lambda: ready(stack), "the link to the controller")
    assert get(f"{stack.rest_url}/procedures") == {"procedures": []}
    first = stack.named("OETRestAdapter")
    first.kill()
    stack.wait_until(lambda: not first.is_running() and ready(stack), "its return to the same port")
    assert stack.stop() == 0
    assert stack.rest_of_stdout() == ""
    assert stack.processes() == []


def ready(stack: StackProcess) -> bool:
    try:
        return bool(get(f"{stack.rest_url.partition('/api')[0]}/readyz"))
    except OSError:
        return False


@needs_rest
def test_the_health_of_the_http_api_is_part_of_the_controllers(oet_up: Start) -> None:
    stack = oet_up()
    stack.wait_ready()
    controller = tango.DeviceProxy(f"tango://{stack.tango_host}/mid-oso/oet-controller/01")
    heard: queue.Queue[None] = queue.Queue()
    for attribute in ("healthState", "healthInfo"):
        controller.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, lambda _: heard.put(None))

    def until(state: int, text: str) -> None:
        deadline = time.monotonic() + 120
        while controller.healthState != state or text not in controller.healthInfo:
            assert time.monotonic() < deadline, controller.healthInfo
            # An event from before the subscription carried any is not waited for in vain.
            with contextlib.suppress(queue.Empty):
                heard.get(timeout=2)

    until(HealthState.OK, "")
    adapter = stack.named("OETRestAdapter")
    adapter.suspend()
    until(HealthState.DEGRADED, f"{ADAPTER}: does not answer")
    adapter.resume()
    until(HealthState.OK, "")


@needs_rest
def test_the_http_api_may_have_a_port_of_the_users_choice(oet_up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    stack = oet_up(f"--rest-port={port}")
    stack.wait_ready()
    assert stack.rest_url == f"http://127.0.0.1:{port}/api/v1.0"


@needs_rest
def test_a_port_in_use_is_named_with_its_option(oet_up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = oet_up(f"--rest-port={port}")
        assert stack.wait_exit() == 1
    assert stack.stderr == (
        f"oet up: port {port} cannot be used: Address already in use; --rest-port 0 takes a free one\n"
    )


@needs_rest
def test_the_ready_line_names_the_http_api_whatever_its_properties_say(oet_up: Start) -> None:
    stack = oet_up()
    stack.wait_ready()
    database = tango.Database(*stack.tango_host.split(":"))
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        database.put_device_property(ADAPTER, {"Port": [str(elsewhere.getsockname()[1])]})
        assert stack.stop() == 0
        stack = oet_up("--rest-port=0")
        stack.wait_ready()
        assert get(f"{stack.rest_url.partition('/api')[0]}/healthz") == {"status": "ok"}
        url = tango.DeviceProxy(f"tango://{stack.tango_host}/{ADAPTER}").url
        assert url == stack.rest_url


@needs_rest
def test_the_ready_line_names_no_http_api_that_is_not_served(oet_up: Start) -> None:
    stack = oet_up()
    stack.wait_ready()
    database = tango.Database(*stack.tango_host.split(":"))
    database.put_device_property(ADAPTER, {"TokenFile": ["/no/such/token"]})
    assert stack.stop() == 0
    stack = oet_up("--rest-port=0")
    stack.wait_ready()
    assert stack.rest_url == ""
    assert "the HTTP API is not served at http://127.0.0.1:" in stack.stderr


@needs_rest
def test_stacks_that_start_together_have_addresses_of_their_own(start_stack: Start, tmp_path: Path) -> None:
    directories = [tmp_path / f"data-{number}" for number in range(5)]
    stacks = [start_stack([program("oet"), "up", "--port=0", f"--data-dir={d}"], d) for d in directories]
    for stack in stacks:
        stack.wait_ready(START_DEADLINE)
    assert len({stack.tango_host for stack in stacks}) == len(stacks)
    assert len({stack.rest_url for stack in stacks}) == len(stacks)
    for stack in stacks:
        adapter = tango.DeviceProxy(f"tango://{stack.tango_host}/{ADAPTER}")
        assert adapter.url == stack.rest_url
    for stack in stacks:
        stack.process.terminate()
    assert [stack.wait_exit() for stack in stacks] == [0] * len(stacks)


def test_how_fast_the_telescope_is_can_be_changed_and_changed_back(oet_up: Start) -> None:
    for options, expected in (
        (["--time-scale=0.25"], "0.25"),
        ([], "1.0"),
    ):
        stack = oet_up("--telescope=low", *options)
        stack.wait_ready()
        assert time_scale(stack) == expected
        assert stack.stop() == 0


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "inf"])
def test_a_time_scale_that_makes_no_sense(oet_up: Start, scale: str) -> None:
    stack = oet_up("--telescope=mid", f"--time-scale={scale}")
    assert stack.wait_exit() == 1
    assert stack.stderr.startswith("oet up: --time-scale is a number above 0, not ")


def test_without_the_extras_the_telescope_runs_and_the_http_api_is_refused(
    oet_up: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(NO_EXTRAS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    refused = oet_up("--rest-port=0")
    assert refused.wait_exit() == 1
    assert refused.stderr == "oet up: the HTTP API needs the extra rest: pip install 'ska-oso-oet[rest]'\n"
    stack = oet_up("--telescope=mid")
    stack.wait_ready()
    assert stack.rest_url == ""
    assert "HTTP" not in stack.stderr
    central_node = tango.DeviceProxy(f"tango://{stack.tango_host}/ska_mid/tm_central/central_node")
    assert central_node.telescopeState == tango.DevState.OFF


def test_a_controller_in_fault_is_not_called_ready(oet_up: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason and the end of the log are told, and the stack ends: only another start can help."""
    monkeypatch.setenv("OET_ABORT_SCRIPT", "http://x")
    stack = oet_up()
    assert stack.wait_exit() == 1
    assert stack.rest_of_stdout() == ""
    assert "scripts cannot be started: oet: not ready: the controller is in state FAULT: " in stack.stderr
    assert "environment variable OET_ABORT_SCRIPT" in stack.stderr
    assert "the end of its log" in stack.stderr


def test_a_controller_that_is_out_of_use_is_ready_once_it_is_not(oet_up: Start) -> None:
    first = oet_up()
    first.wait_ready()
    tango.DeviceProxy(f"tango://{first.tango_host}/{DEFAULT_DEVICE}").adminMode = 1
    assert first.stop() == 0
    again = oet_up(f"--port={first.tango_host.rpartition(':')[2]}")

    def why_not_ready() -> str:
        try:
            return str(tango.DeviceProxy(f"tango://{first.tango_host}/{DEFAULT_DEVICE}").whyNotReady)
        except (tango.DevFailed, AttributeError):
            return ""

    again.wait_until(
        lambda: "adminMode is OFFLINE" in why_not_ready(), "the controller says why it is not ready"
    )
    tango.DeviceProxy(f"tango://{first.tango_host}/{DEFAULT_DEVICE}").adminMode = 0
    again.wait_ready()
