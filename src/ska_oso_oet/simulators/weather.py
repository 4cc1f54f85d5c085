"""The simulated weather station is described in SIMDD JSON and made by tango-simlib (extra `sim`)."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import tango

from ska_oso_oet.resources import devices_dir


def weather_station_classes(server: str) -> list[type[Any]]:
    """Return the device classes WeatherStation and WeatherStationSimControl, for the server `name/instance`.

    Their quantities change as described there; WeatherStationSimControl sets them. Returns none where
    tango-simlib is not installed or the database lists no weather station for the server.
    """
    if importlib.util.find_spec("tango_simlib") is None:
        return []
    stations = tango.Database().get_device_name(server, "WeatherStation")
    if not stations:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tango-simlib uses pkg_resources, which is deprecated
        from tango_simlib import tango_sim_generator as simlib  # noqa: PLC0415 - an extra

    description = [str(devices_dir() / "simulators" / "simdd" / "weather_station.json")]
    models: dict[str, Any] = {}
    for station in stations:
        models |= simlib.configure_device_models(description, station)
    return list(simlib.get_tango_device_server(models, description))
