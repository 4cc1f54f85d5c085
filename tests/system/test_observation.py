"""Whole observations of the simulated telescope, by `oet` alone; an independent subscriber looks on."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.client.events import Event
from ska_oso_oet.resources import program, scripts_dir
from ska_oso_oet.scripting.scheduling_block import example
from ska_oso_oet.ska.control_model import ObsState
from tests.event_channel import wait_for_events
from tests.system.manual import Manual, needs_curl
from tests.system.oet_program import Oet
from tests.system.stack_process import StackProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE = 60.0
FOREVER = json.dumps({"main": {"kwargs": {"scan_duration": 3600}}})
ENDLESS = """
import threading
def main():
    threading.Event().wait()
"""
SCAN = ["CONFIGURING", "READY", "SCANNING", "READY"]


class Recorder:
    """What a subscriber of its own sees of an attribute, in order, and when the device sent it."""

    def __init__(self, stack: StackProcess, device: str, attribute: str) -> None:
        self._seen: SimpleQueue[tuple[str, float]] = SimpleQueue()
        self._proxy = tango.DeviceProxy(f"tango://{stack.tango_host}/{device}")
        self._id = self._proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, self._take)
        wait_for_events(self._proxy, attribute)
        self.when = 0.0
        """when the newest value that until() returned was sent, in seconds since the epoch"""

    def _take(self, event: tango.EventData) -> None:
        if not event.err:
            value = event.attr_value.value
            name = str(value) if isinstance(value, tango.DevState) else ObsState(value).name
            self._seen.put((name, event.attr_value.time.totime()))

    def until(self, value: str) -> list[str]:
        """Wait for `value`; return all values since the last call, this being the last."""
        names: list[str] = []
        while names[-1:] != [value]:
            try:
                name, self.when = self._seen.get(timeout=DEADLINE)
            except Empty:
                raise AssertionError(f"{value} did not come, only {names}") from None
            names.append(name)
        return names

    def rest(self) -> list[str]:
        """Return what has come since the last call."""
        return [self._seen.get_nowait()[0] for _ in range(self._seen.qsize())]

    def close(self) -> None:
        self._proxy.unsubscribe_event(self._id)


class Observatory:
    """A stack with a simulated telescope, and `oet` to use it with."""

    def __init__(self, stack: StackProcess, telescope: str) -> None:
        self.stack = stack
        self.telescope = telescope
        self.sbd_id = str(example(telescope)["sbd_id"])
        self.central_node = f"ska_{telescope}/tm_central/central_node"

    def subarray(self, number: int) -> str:
        return f"ska_{self.telescope}/tm_subarray_node/{number}"

    def oet(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [program("oet"), *arguments]
        return subprocess.run(
            argv, env=self.stack.env, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def done(self, *arguments: str) -> dict[str, Any]:
        """Run `oet`, which must succeed, and return what it says."""
        done = self.oet(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def run(self, script: str, *arguments: str) -> dict[str, Any]:
        return self.done("procedure", "run", (scripts_dir() / script).as_uri(), *arguments)

    def activity(self, name: str, subarray_id: int = 1) -> dict[str, Any]:
        return self.done("activity", "run", name, self.sbd_id, self.on(subarray_id))

    def wait_activity(self, activity_id: int) -> None:
        with OETClient(f"tango://{self.stack.tango_host}/{DEFAULT_DEVICE}") as client:
            assert client.wait_activity(activity_id, timeout=DEADLINE).state == "COMPLETE"

    @contextmanager
    def following(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        argv = [program("oet"), *arguments, "--json"]
        with subprocess.Popen(argv, env=self.stack.env, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def tango(self, device: str, call: str, argument: dict[str, Any] | None = None) -> None:
        proxy = tango.DeviceProxy(f"tango://{self.stack.tango_host}/{device}")
        proxy.command_inout(call, *(() if argument is None else (json.dumps(argument),)))

    def reset(self) -> None:
        """Make the telescope as it is after a start, with nothing running."""
        for procedure in self.done("procedure", "list")["procedures"]:
            if procedure["state"] not in {"COMPLETE", "FAILED", "STOPPED"}:
                self.done("procedure", "stop", f"--pid={procedure['id']}", "--run_abort=False")
        for device in (self.central_node, *(self.subarray(number) for number in range(1, 5))):
            self.tango(device, "Init")

    @staticmethod
    def on(subarray_id: int, **main: Any) -> str:
        args = {"init": {"kwargs": {"subarray_id": subarray_id}}, "main": {"kwargs": main}}
        return f"--script_args={json.dumps(args)}"


def start(telescope: str, time_scale: float, folder: Path) -> Observatory:
    data_dir = folder / "data"
    options = [f"--telescope={telescope}", f"--time-scale={time_scale}", f"--data-dir={data_dir}"]
    stack = StackProcess([program("oet"), "up", "--port=0", *options], data_dir, folder / "stderr")
    try:
        stack.wait_ready()
        observatory = Observatory(stack, telescope)
        (folder / "sb.json").write_text(json.dumps(example(telescope)))
        observatory.done("sbd", "add", str(folder / "sb.json"), f"--data-dir={data_dir}")
    except BaseException:
        stack.close()
        raise
    return observatory


@pytest.fixture(scope="module", params=["mid", "low"])
def observatories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observatory]:
    observatory = start(request.param, 0.1, tmp_path_factory.mktemp(request.param))
    yield observatory
    observatory.stack.close()


@pytest.fixture
def observatory(observatories: Observatory) -> Iterator[Observatory]:
    yield observatories
    observatories.reset()


@pytest.fixture
def record(observatory: Observatory) -> Iterator[Callable[[str, str], Recorder]]:
    recorders = []

    def begin(device: str, attribute: str) -> Recorder:
        recorders.append(Recorder(observatory.stack, device, attribute))
        return recorders[-1]

    yield begin
    for recorder in recorders:
        recorder.close()


def test_an_observation_from_startup_to_standby(
    observatory: Observatory, record: Callable[[str, str], Recorder]
) -> None:
    telescope = record(observatory.central_node, "telescopeState")
    subarray = record(observatory.subarray(1), "obsState")
    assert telescope.until("OFF") == ["OFF"]
    assert subarray.until("EMPTY") == ["EMPTY"]

    assert observatory.run("startup.py")["procedure"]["state"] == "COMPLETE"
    assert telescope.until("ON") == ["UNKNOWN", "ON"]

    assert observatory.activity("allocate")["activity"]["state"] == "COMPLETE"
    assert subarray.until("IDLE") == ["RESOURCING", "IDLE"]

    assert observatory.activity("observe")["activity"]["state"] == "COMPLETE"
    assert subarray.until("IDLE") == [*SCAN, *SCAN, "IDLE"]

    assert observatory.activity("deallocate")["activity"]["state"] == "COMPLETE"
    assert subarray.until("EMPTY") == ["RESOURCING", "EMPTY"]

    assert observatory.run("standby.py")["procedure"]["state"] == "COMPLETE"
    assert telescope.until("STANDBY") == ["UNKNOWN", "STANDBY"]
    assert telescope.rest() + subarray.rest() == []


MANUAL = (
    ("file:///scripts/startup.py", ""),
    ("file:///scripts/allocate_from_file_sb.py --subarray_id=3", " scripts/example_sb.json"),
    ("file:///scripts/observe_sb.py --subarray_id=3", " scripts/example_sb.json"),
    ("file:///scripts/deallocate.py --subarray_id=3", ""),
    ("file:///scripts/standby.py", ""),
)
"""What the example session of the original's manual creates, and with what each is started."""


def test_the_example_session_of_the_manual(
    observatory: Observatory, record: Callable[[str, str], Recorder], tmp_path: Path
) -> None:
    block = tmp_path / "example_sb.json"
    block.write_text(json.dumps(example(observatory.telescope)))
    places = {"file:///scripts": scripts_dir().as_uri(), "scripts/example_sb.json": str(block)}
    manual = Manual(Oet(observatory.stack.env, tmp_path), places, {})
    subarray = record(observatory.subarray(3), "obsState")
    for created, given in MANUAL:
        manual(f"oet procedure create {created}")
        *_, last = manual(f"oet procedure start{given}")
        assert last.column("State") == ["COMPLETE"]
    states = [*subarray.until("SCANNING"), *subarray.until("EMPTY")]
    assert [*states[:4], *states[-2:]] == [
        "EMPTY",
        "RESOURCING",
        "IDLE",
        "CONFIGURING",
        "RESOURCING",
        "EMPTY",
    ]


@needs_curl
def test_a_stop_as_the_manual_sends_it(observatory: Observatory, tmp_path: Path) -> None:
    oet = Oet(observatory.stack.env, tmp_path, endless=ENDLESS)
    number = oet.json("procedure", "create", oet.uris["endless"], "--subarray_id=1")[1]["procedure"]["id"]
    assert oet("procedure", "start", "--listen=False").returncode == 0
    places = {"http://localhost:5000/api/v1.0": observatory.stack.rest_url}
    manual = Manual(oet, places, {"pid": number - 2})
    status, kind, answer = manual.curl(
        'curl -i -H "Content-Type: application/json" -X PUT -d \'{"abort": true, "state": "STOPPED"}\''
        " http://localhost:5000/api/v1.0/procedures/2"
    )
    assert (status, kind) == (200, "application/json")
    message = f"Successfully stopped script with ID {number} and aborted subarray activity "
    assert answer == {"abort_message": message}


def test_two_subarrays_observe_at_the_same_time(
    observatory: Observatory, record: Callable[[str, str], Recorder], tmp_path: Path
) -> None:
    # The example's resources belong to one subarray; the other gets resources of its own.
    second = json.loads(
        json.dumps(example(observatory.telescope))
        .replace('"SKA001"', '"SKA063"')
        .replace('"SKA036"', '"SKA100"')
        .replace('"station_id": ', '"station_id": 4')
    )
    second["sbd_id"] = "sbd-second"
    second["metadata"].pop("version")
    (tmp_path / "second.json").write_text(json.dumps(second))
    observatory.done("sbd", "add", str(tmp_path / "second.json"), f"--data-dir={observatory.stack.data_dir}")
    blocks = {1: observatory.sbd_id, 2: "sbd-second"}
    subarrays = {number: record(observatory.subarray(number), "obsState") for number in blocks}
    observatory.run("startup.py")
    for number, block in blocks.items():
        observatory.done("activity", "run", "allocate", block, observatory.on(number))
        subarrays[number].until("IDLE")

    observing = {
        number: observatory.done(
            "activity",
            "run",
            "observe",
            block,
            observatory.on(number, scan_duration=3600),
            "--listen=False",
        )["activity"]["id"]
        for number, block in blocks.items()
    }
    for recorder in subarrays.values():
        recorder.until("SCANNING")
    running = {
        item["id"]
        for item in observatory.done("activity", "list")["activities"]
        if item["state"] == "RUNNING"
    }
    assert running == set(observing.values())
    for recorder in subarrays.values():
        assert recorder.rest() == []  # both are scanning still

    # Each is ended by its device, as at the end of its time: the second scan follows.
    for number, recorder in subarrays.items():
        observatory.tango(observatory.subarray(number), "EndScan")
        assert recorder.until("SCANNING") == ["READY", "CONFIGURING", "READY", "SCANNING"]
    for number, recorder in subarrays.items():
        observatory.tango(observatory.subarray(number), "EndScan")
        assert recorder.until("IDLE") == ["READY", "IDLE"]
    for block in observing.values():
        observatory.wait_activity(block)
    began = events(observatory, "scan.lifecycle.start")[-4:]
    assert len({event["data"]["scan_id"] for event in began}) == 4


def test_a_fault_in_configure_fails_the_script_with_the_error_of_the_device(
    observatory: Observatory, record: Callable[[str, str], Recorder]
) -> None:
    subarray = record(observatory.subarray(1), "obsState")
    observatory.run("startup.py")
    observatory.activity("allocate")
    fault = {"command": "Configure", "message": "the correlator has no power"}
    observatory.tango(observatory.subarray(1), "InjectFault", fault)
    done = observatory.oet("activity", "run", "observe", observatory.sbd_id)
    assert done.returncode == 1
    described = observatory.oet("procedure", "describe").stdout
    assert "FAILED" in described
    traceback = described.partition("Stack trace")[2]
    assert "observe_sb.py" in traceback
    assert "the correlator has no power" in traceback
    assert "SIM_InjectedFault" in traceback
    assert subarray.until("IDLE") + subarray.rest() == ["EMPTY", "RESOURCING", "IDLE"]


def test_a_subarray_that_goes_to_fault_fails_the_script_with_its_message(
    observatory: Observatory, record: Callable[[str, str], Recorder]
) -> None:
    subarray = record(observatory.subarray(1), "obsState")
    observatory.run("startup.py")
    observatory.activity("allocate")
    subarray.until("IDLE")
    fault = {"command": "Configure", "message": "dish 1 does not move", "effect": "fault"}
    observatory.tango(observatory.subarray(1), "InjectFault", fault)
    done = observatory.oet("activity", "run", "observe", observatory.sbd_id)
    assert done.returncode == 1, done.stdout
    described = observatory.oet("procedure", "describe").stdout
    assert "came to FAULT, not READY: dish 1 does not move" in described
    assert subarray.until("FAULT") == ["CONFIGURING", "FAULT"]
    observatory.run("abort.py", "--restart=True")
    assert subarray.until("EMPTY") == ["RESTARTING", "EMPTY"]


@pytest.fixture(params=["mid", "low"])
def real_time(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Observatory]:
    """A telescope that is no faster than a real one."""
    observatory = start(request.param, 1.0, tmp_path)
    yield observatory
    observatory.stack.close()


def test_a_stop_in_mid_scan_leaves_the_subarray_aborted_soon(real_time: Observatory) -> None:
    subarray = Recorder(real_time.stack, real_time.subarray(1), "obsState")
    try:
        real_time.run("startup.py")
        real_time.activity("allocate")
        with real_time.following(
            "activity", "run", "observe", real_time.sbd_id, f"--script_args={FOREVER}"
        ) as observation:
            subarray.until("SCANNING")
            stopped = real_time.done("procedure", "stop", "--run_abort=True")
            (asked,) = events(real_time, "request.procedure.stop")
            seen = subarray.until("ABORTED")
            assert seen == ["READY", "IDLE", "ABORTING", "ABORTED"]
            assert subarray.when - asked["time"] < 20
            assert stopped["procedure"]["state"] == "STOPPED"
            stdout, _ = observation.communicate(timeout=DEADLINE)
        assert observation.returncode == 4
        assert json.loads(stdout)["activity"]["state"] == "STOPPED"

        real_time.run("abort.py", "--restart=True")
        assert subarray.until("EMPTY") == ["RESTARTING", "EMPTY"]
    finally:
        subarray.close()


def events(observatory: Observatory, topic: str) -> list[dict[str, Any]]:
    """Return the events that the controller remembers of a topic."""
    device = f"tango://{observatory.stack.tango_host}/{DEFAULT_DEVICE}"
    with OETClient(device) as client, client.events([topic], 0) as stream:
        return [asdict(item) for item in stream.drain() if isinstance(item, Event)]
