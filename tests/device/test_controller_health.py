"""The controller's healthState and healthInfo follow its parts and the devices that it depends on."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import tango

from ska_oso_oet.ska.control_model import HealthState
from tests import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
OTHER = Path(__file__).with_name("ska_test_device.py"), "SkaTestDevice"
NAME = "test/oetcontroller/0"
DEADLINE = 60.0


class Health:
    """What a subscriber hears of a controller's health."""

    def __init__(self, proxy: tango.DeviceProxy) -> None:
        self._proxy = proxy
        self._heard: queue.Queue[None] = queue.Queue()
        for attribute in ("healthState", "healthInfo"):
            proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, lambda _: self._heard.put(None))

    def until(self, state: HealthState, message: str = "") -> list[str]:
        """Wait for a state with a message that contains a text; return all messages of the controller."""
        while True:
            self._heard.get(timeout=DEADLINE)
            info: dict[str, list[str]] = json.loads(self._proxy.healthInfo)
            assert next(iter(info)) == self._proxy.dev_name()
            messages = info[self._proxy.dev_name()]
            if self._proxy.healthState == state and any(message in text for text in messages or [""]):
                return messages


def properties(folder: Path, **more: object) -> dict[str, object]:
    return {
        "adminMode/__value": 0,
        "ScriptRoots": str(folder),
        "EnvironmentsDir": str(folder / "environments"),
        "OdaDataDir": str(folder / "oda"),
        **more,
    }


def fork_server_of(servers: DeviceServers, proxy: tango.DeviceProxy) -> int:
    children = psutil.Process(servers.of(proxy).process.pid).children()
    # Workers that it has forked are children of the controller when it is dead; they have names of their own.
    return next(
        child.pid
        for child in children
        if "ska_oso_oet.mptools.forkserver" in child.cmdline() and not child.name().startswith("oet-")
    )


def test_a_fork_server_that_hangs_or_dies_is_told_and_so_is_its_recovery(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path))
    health = Health(proxy)
    event_channel(proxy)
    assert health.until(HealthState.OK) == []
    fork_server = fork_server_of(device_server, proxy)
    os.kill(fork_server, signal.SIGSTOP)
    health.until(HealthState.FAILED, "fork server: scripts cannot be started: ")
    with suppress(ProcessLookupError):  # on a slow machine it has been replaced by now
        os.kill(fork_server, signal.SIGCONT)
    assert health.until(HealthState.OK) == []
    fork_server = fork_server_of(device_server, proxy)
    os.kill(fork_server, signal.SIGKILL)
    script = tmp_path / "script.py"
    script.write_text("def main():\n    pass\n")
    changed: queue.Queue[dict[str, Any]] = queue.Queue()
    proxy.subscribe_event(
        "procedureChanged",
        tango.EventType.CHANGE_EVENT,
        lambda event: None if event.err else changed.put(json.loads(event.attr_value.value)),
    )
    event_channel(proxy)
    request = json.dumps({"script": {"script_type": "filesystem", "script_uri": script.as_uri()}})

    def create() -> int:
        proxy.CreateProcedure(request)
        return int(json.loads(proxy.DescribeProcedure(0))["id"])

    # More than there are spare workers, so that some have to be forked anew.
    waiting, failed = {create() for _ in range(5)}, 0
    while waiting:
        procedure = changed.get(timeout=DEADLINE).get("procedure", {"id": 0})
        if procedure["id"] in waiting and procedure["state"] in {"READY", "FAILED"}:
            waiting.discard(procedure["id"])
            if procedure["state"] == "FAILED":  # it was still asked of the old fork server
                failed += 1
                waiting.add(create())
    assert failed <= 5
    assert fork_server_of(device_server, proxy) != fork_server


def test_a_monitored_device_counts_and_its_end_is_told(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    other = device_server(*OTHER, {"adminMode/__value": 0})
    host = f"tango://{other.get_dev_host()}:{other.get_dev_port()}/{other.dev_name()}#dbase=no"
    proxy = device_server(*CONTROLLER, properties(tmp_path, MonitoredDevices=[host]))
    health = Health(proxy)
    event_channel(proxy)
    # The health of a bare base device is UNKNOWN, which it never changes.
    health.until(HealthState.DEGRADED, "UNKNOWN")
    device_server.of(other).stop()
    health.until(HealthState.DEGRADED, "does not answer")


def test_a_store_that_is_down_degrades_the_health_and_names_the_reason(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    url = f"postgresql://nobody:hush@127.0.0.1:{port}/oda"
    proxy = device_server(*CONTROLLER, properties(tmp_path, OdaBackend="postgres", OdaUrl=url))
    health = Health(proxy)
    event_channel(proxy)
    messages = health.until(HealthState.DEGRADED, "ODA: activities cannot be run: ")
    assert not any("hush" in message for message in messages)


@pytest.mark.parametrize("mode", [1, 3])
def test_a_controller_that_is_not_in_use_has_no_known_health(
    device_server: DeviceServers,
    tmp_path: Path,
    event_channel: Callable[[tango.DeviceProxy], None],
    mode: int,
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path))
    health = Health(proxy)
    event_channel(proxy)
    health.until(HealthState.OK)
    proxy.adminMode = 1
    proxy.adminMode = mode
    health.until(HealthState.UNKNOWN)


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"ODA_BACKEND_TYPE": "rest"}, "rest"),
        ({"ODA_URL": "http://oda/api"}, "http://"),
        ({"PGPORT": "x"}, "port"),
    ],
)
def test_foreign_settings_of_the_oda_cost_nothing_but_activities(
    device_server: DeviceServers,
    tmp_path: Path,
    event_channel: Callable[[tango.DeviceProxy], None],
    variables: dict[str, str],
    word: str,
) -> None:
    given = {name: value for name, value in properties(tmp_path).items() if not name.startswith("Oda")}
    proxy = device_server(*CONTROLLER, given, env=variables)
    health = Health(proxy)
    event_channel(proxy)
    health.until(HealthState.DEGRADED, "ODA: activities cannot be run: settings of the ODA: ")
    assert word in proxy.healthInfo
    until(heard(proxy, "whyNotReady"), "")


def test_status_and_settings_are_answered_in_one_document_each(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text("import time\n\ndef main(subarray_id):\n    time.sleep(600)\n")
    given = properties(
        tmp_path, OdaUrl="postgresql://u:hush@127.0.0.1:1/d", MonitoredDevices=["no/such/device"]
    )
    proxy = device_server(*CONTROLLER, given, env={"OET_STOP_GRACE": "5"})
    until(heard(proxy, "whyNotReady"), "")
    arguments = {"main": {"kwargs": {"subarray_id": 3}}}
    request = {
        "script": {"script_type": "filesystem", "script_uri": script.as_uri()},
        "script_args": arguments,
    }
    proxy.CreateProcedure(json.dumps(request))
    changes = heard(proxy, "procedureChanged")
    while json.loads(proxy.DescribeProcedure(0))["state"] != "READY":
        changes.get(timeout=DEADLINE)
    proxy.StartProcedure(json.dumps({"procedure_id": 1}))
    status = json.loads(proxy.GetStatus())
    assert (status["state"], status["ready"], status["why_not_ready"]) == ("ON", True, None)
    assert status["subarrays"] == [{"subarray_id": 3, "procedure_id": 1, "state": "RUNNING"}]
    assert status["procedures"] == {"RUNNING": 1}
    assert status["devices"] == {"no/such/device": False}
    assert set(status["versions"]) == {"oet", "python", "pytango", "tango"}
    settings = json.loads(proxy.GetSettings())
    assert "hush" not in json.dumps(settings)
    warning = "OET_STOP_GRACE is no setting of the OET: is OET_STOP_GRACE_PERIOD meant?"
    assert warning in settings["warnings"]
    device_server.of(proxy).stop()
    assert warning in device_server.of(proxy).output


def test_status_is_answered_in_a_fault(device_server: DeviceServers, tmp_path: Path) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path, AbortScript="http://x"))
    until(heard(proxy, "whyNotReady"), "the controller is in state FAULT")
    status = json.loads(proxy.GetStatus())
    assert (status["state"], status["ready"]) == ("FAULT", False)
    assert "AbortScript" in status["why_not_ready"]


def heard(proxy: tango.DeviceProxy, attribute: str) -> queue.Queue[Any]:
    values: queue.Queue[Any] = queue.Queue()
    proxy.subscribe_event(
        attribute,
        tango.EventType.CHANGE_EVENT,
        lambda event: None if event.err else values.put(event.attr_value.value),
    )
    return values


def until(values: queue.Queue[Any], text: str) -> None:
    """Wait for a value that begins with a text, "" for an empty one."""
    while not (value := values.get(timeout=DEADLINE)).startswith(text) or bool(value) != bool(text):
        pass


def test_a_fault_is_bad_health_with_its_reason_and_not_ready(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path, HistoryLength="many"))
    reasons = heard(proxy, "whyNotReady")
    until(reasons, "the controller is in state FAULT: init_device failed: ")
    assert proxy.State() == tango.DevState.FAULT
    assert proxy.healthState == HealthState.FAILED
    [message] = json.loads(proxy.healthInfo)[proxy.dev_name()]
    assert "HistoryLength" in message
    assert "HistoryLength" in proxy.whyNotReady


def test_being_out_of_use_is_said_and_not_ready(device_server: DeviceServers, tmp_path: Path) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path))
    reasons = heard(proxy, "whyNotReady")
    until(reasons, "")
    proxy.adminMode = 1
    until(reasons, "the controller is in state DISABLE: adminMode is OFFLINE")
    assert proxy.healthState == HealthState.UNKNOWN
    assert json.loads(proxy.healthInfo)[proxy.dev_name()] == ["adminMode is OFFLINE"]
    proxy.adminMode = 3
    until(reasons, "the controller is in state DISABLE: adminMode is NOT_FITTED")
    proxy.adminMode = 1
    proxy.adminMode = 0
    until(reasons, "")
    assert json.loads(proxy.healthInfo)[proxy.dev_name()] == []
    assert proxy.healthState == HealthState.OK
    proxy.Off()
    until(reasons, "the controller is in state OFF")
    proxy.On()
    until(reasons, "")
    proxy.Init()
    until(reasons, "the controller is in state INIT: the device is being initialised")
    until(reasons, "")


def test_a_fork_server_that_starts_no_process_is_not_ready_whatever_its_weight(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path, CriticalComponents="event pump"))
    reasons = heard(proxy, "whyNotReady")
    until(reasons, "")
    fork_server = fork_server_of(device_server, proxy)
    os.kill(fork_server, signal.SIGSTOP)
    until(reasons, "fork server: ")
    assert proxy.healthState == HealthState.DEGRADED
    with suppress(ProcessLookupError):  # on a slow machine it has been replaced by now
        os.kill(fork_server, signal.SIGCONT)
    until(reasons, "")


def test_a_fork_server_that_never_starts_up_is_a_failure_and_so_is_no_later_one(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path))
    health = Health(proxy)
    event_channel(proxy)
    assert health.until(HealthState.OK) == []
    os.kill(fork_server_of(device_server, proxy), signal.SIGKILL)
    failed = threading.Event()
    halting = threading.Thread(target=halt_fork_servers, args=(device_server, proxy, failed))
    halting.start()
    try:
        health.until(HealthState.FAILED, "fork server: scripts cannot be started: the fork server does not")
    finally:
        failed.set()
        halting.join(DEADLINE)
    assert health.until(HealthState.OK) == []


def halt_fork_servers(servers: DeviceServers, proxy: tango.DeviceProxy, until: threading.Event) -> None:
    """Halt each fork server as soon as it is there, before it has started up."""
    while not until.wait(0.05):
        with suppress(StopIteration, psutil.Error, ProcessLookupError):
            os.kill(fork_server_of(servers, proxy), signal.SIGSTOP)


def test_a_process_that_cannot_be_killed_is_named(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    proxy = device_server(*CONTROLLER, properties(tmp_path, StopGracePeriod=0.5))
    health = Health(proxy)
    event_channel(proxy)
    assert health.until(HealthState.OK) == []
    script = tmp_path / "script.py"
    script.write_text("def main():\n    pass\n")
    with cgroups.freezer() as group:
        proxy.CreateProcedure(
            json.dumps({"script": {"script_type": "filesystem", "script_uri": script.as_uri()}})
        )
        worker = psutil.Process(worker_of(device_server, proxy, 1))
        cgroups.freeze(group, worker.pid)
        proxy.StopProcedure(json.dumps({"procedure_id": 1}))
        [message] = health.until(HealthState.DEGRADED, "processes: the operating system does not end ")
        assert f"process {worker.pid} (oet-proc-1, " in message
        assert "of procedure 1, killed at 2" in message
        cgroups.thaw(group)
        assert health.until(HealthState.OK) == []


def worker_of(servers: DeviceServers, proxy: tango.DeviceProxy, procedure_id: int) -> int:
    """Find the process of a procedure, which takes its name once it has been given that."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        for process in psutil.Process(servers.of(proxy).process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if process.name() == f"oet-proc-{procedure_id}":
                    return process.pid
        time.sleep(0.05)
    raise AssertionError(f"there is no process of procedure {procedure_id}")
