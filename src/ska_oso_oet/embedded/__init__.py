"""`oet up` starts a Tango database and the OET's device servers on this machine, to try out and to test."""

from ska_oso_oet.embedded.child import StackError
from ska_oso_oet.embedded.limits import DEFAULT_TIMEOUT, StackLimits
from ska_oso_oet.embedded.marked import stack_processes
from ska_oso_oet.embedded.parts import Parts, Server, SimulatorServers, rest_is_installed
from ska_oso_oet.embedded.stack import DEFAULT_PORT, up

__all__ = [
    "DEFAULT_PORT",
    "DEFAULT_TIMEOUT",
    "Parts",
    "Server",
    "SimulatorServers",
    "StackError",
    "StackLimits",
    "rest_is_installed",
    "stack_processes",
    "up",
]
