"""This is the device server `TelescopeSimulator`."""

from __future__ import annotations

import os
import sys

from tango.server import run

from ska_oso_oet.resources import raise_descriptor_limit
from ska_oso_oet.simulators.central_node import CentralNode
from ska_oso_oet.simulators.subarray_node import SubarrayNode
from ska_oso_oet.simulators.weather import weather_station_classes
from ska_oso_oet.ska.base_device import own_reference
from ska_oso_oet.ska.half_open import close_half_open
from ska_oso_oet.tango_environment import prepare_tango

NAME = "TelescopeSimulator"


def main(arguments: list[str] | None = None) -> None:
    """Serve the devices that the Tango database lists for the instance, `mid` or `low`, until SIGTERM."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0].startswith("-"):
        raise SystemExit(f"usage: {NAME} <instance> [Tango options]")
    prepare_tango(os.environ)
    raise_descriptor_limit()
    weather = weather_station_classes(f"{NAME}/{given[0]}")
    run((CentralNode, SubarrayNode, *weather), args=[NAME, *given], post_init_callback=_close_half_open)


def _close_half_open() -> None:
    close_half_open(own_reference())
