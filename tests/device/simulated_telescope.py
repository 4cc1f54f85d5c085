"""A simulated telescope on a Tango database of its own, for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import tango

from tests.event_channel import DEADLINE, wait_for_events

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = Path(__file__).parents[2] / "devices" / "simulators"
TIME_SCALE = 0.05
SERVE = "import sys; from ska_oso_oet.simulators.server import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class SimulatedTelescope:
    """One telescope, its database and the environment that scripts need to use it."""

    telescope: str
    tango_host: str
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        names = {"TANGO_HOST": self.tango_host, "SKA_TELESCOPE": f"ska{self.telescope}"}
        return {**os.environ, **names}

    @property
    def central_node(self) -> str:
        return self._device("tm_central/central_node")

    def subarray(self, subarray_id: int) -> str:
        return self._device(f"tm_subarray_node/{subarray_id}")

    def proxy(self, device: str) -> tango.DeviceProxy:
        return tango.DeviceProxy(device)

    def reset(self) -> None:
        """Make everything as it is after a start, at once."""
        for device in (self.central_node, *(self.subarray(number) for number in range(1, 5))):
            self.proxy(device).command_inout("Init")

    def _device(self, name: str) -> str:
        return f"tango://{self.tango_host}/ska_{self.telescope}/{name}"


@contextmanager
def simulated_telescope(telescope: str, directory: Path) -> Iterator[SimulatedTelescope]:
    """Run a database and the simulated telescope, with TIME_SCALE."""
    with ExitStack() as running:
        tango_host = running.enter_context(_database(directory))
        environment = {**os.environ, "TANGO_HOST": tango_host}
        subprocess.run(
            [sys.executable, "-m", "dsconfig.json2tango", "--write", str(DEVICES / f"{telescope}.json")],
            env=environment,
            check=False,  # 2 says that the database was changed
            capture_output=True,
        )
        database = tango.Database(*tango_host.split(":"))
        for device in database.get_device_name(f"TelescopeSimulator/{telescope}", "*"):
            database.put_device_property(device, {"TimeScale": [str(TIME_SCALE)]})
        yield running.enter_context(_server(telescope, tango_host, environment))


@contextmanager
def _database(directory: Path) -> Iterator[str]:
    command = ["-m", "tango.databaseds.database", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, *command, "--print-host-port", "2"],
        env={**os.environ, "PYTANGO_DATABASE_NAME": str(directory / "tango.db")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"host=(\S+), port=(\d+)", process.stderr.readline())
            assert found is not None
            yield ":".join(found.groups())
        finally:
            process.kill()


@contextmanager
def _server(telescope: str, tango_host: str, environment: dict[str, str]) -> Iterator[SimulatedTelescope]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, telescope, "-ORBendPoint", "giop:tcp:127.0.0.1:0"],
        env=environment,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            ready = any(b"Ready to accept" in line for line in process.stdout)
            assert ready
            yield SimulatedTelescope(telescope, tango_host, process)
        finally:
            process.kill()


class Recorder:
    """What an independent subscriber sees of one attribute, in order."""

    def __init__(self, device: str, attribute: str) -> None:
        self.values: list[Any] = []
        self._arrived: SimpleQueue[Any] = SimpleQueue()
        self._proxy = tango.DeviceProxy(device)
        self._id = self._proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, self._take)
        wait_for_events(self._proxy, attribute)

    def _take(self, event: tango.EventData) -> None:
        if not event.err:
            self._arrived.put(event.attr_value.value)

    def until(self, value: Any, timeout: float = DEADLINE) -> list[Any]:
        """Wait for `value`; return all that came since the last call, `value` being the last."""
        seen: list[Any] = []
        while seen[-1:] != [value]:
            try:
                seen.append(self._arrived.get(timeout=timeout))
            except Empty:
                raise AssertionError(f"{value} did not come; only {seen}") from None
        return seen

    def rest(self) -> list[Any]:
        """Return what has come since the last call."""
        return [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]

    def close(self) -> None:
        self._proxy.unsubscribe_event(self._id)
