"""The device server `TelescopeSimulator`."""

from __future__ import annotations

import sys

from tango.server import run

from ska_oso_oet.simulators.central_node import CentralNode
from ska_oso_oet.simulators.subarray_node import SubarrayNode

NAME = "TelescopeSimulator"


def main(arguments: list[str] | None = None) -> None:
    """Serve the devices that the Tango database lists for the instance, `mid` or `low`, until SIGTERM."""
    given = sys.argv[1:] if arguments is None else arguments
    run((CentralNode, SubarrayNode), args=[NAME, *given])
