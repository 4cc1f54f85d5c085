"""`oet up`: a Tango database and the OET's device servers on this machine, for trying out and for tests."""

from ska_oso_oet.embedded.child import StackError
from ska_oso_oet.embedded.marked import stack_processes
from ska_oso_oet.embedded.stack import DEFAULT_PORT, SERVERS, Limits, Server, up

__all__ = ["DEFAULT_PORT", "SERVERS", "Limits", "Server", "StackError", "stack_processes", "up"]
