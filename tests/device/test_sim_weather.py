from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import tango

from tests.device.simulated_telescope import Recorder, simulated_telescope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.simulated_telescope import SimulatedTelescope

pytest.importorskip("tango_simlib", reason="the extra sim is not installed")


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTelescope]:
    with simulated_telescope("mid", tmp_path_factory.mktemp("mid")) as running:
        yield running


def device(mid: SimulatedTelescope, name: str) -> str:
    return f"tango://{mid.tango_host}/mid-wms/{name}/1"


def test_the_weather_is_there(mid: SimulatedTelescope) -> None:
    station = tango.DeviceProxy(device(mid, "weather-station"))
    for name, low, high in (("windSpeed", 0, 50), ("temperature", -10, 50), ("humidity", 0, 100)):
        assert low <= station.read_attribute(name).value <= high


def test_a_storm_can_be_made(mid: SimulatedTelescope) -> None:
    control = tango.DeviceProxy(device(mid, "weather-station-control"))
    labels = list(control.get_attribute_config("attribute_name").enum_labels)
    control.attribute_name = labels.index("windSpeed")
    control.pause_active = True
    control.last_val = 45.0
    station = tango.DeviceProxy(device(mid, "weather-station"))
    deadline = time.monotonic() + 60
    while station.read_attribute("windSpeed").value != 45.0:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the model takes values in once a second
    recorder = Recorder(device(mid, "weather-station"), "windSpeed")
    assert recorder.until(45.0) == [45.0]
    recorder.close()
