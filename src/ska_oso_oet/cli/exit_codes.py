"""The exit codes of `oet` and their meanings are one table."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from ska_oso_oet import errors
from ska_oso_oet.errors import HistoryUnavailable
from ska_oso_oet.oda.errors import OdaUnavailable


class ExitCode(IntEnum):
    """Exit codes of every `oet` command.

    70 is EX_SOFTWARE of sysexits.h; 130 and 141 are what shells make of SIGINT and SIGPIPE.
    """

    DONE = 0
    SCRIPT_FAILED = 1
    USAGE = 2
    REFUSED = 3
    STOPPED = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    FAULT = 70
    INTERRUPTED = 130
    NO_READER = 141


_ERRORS: Final = (
    (errors.InvalidArgument, ExitCode.USAGE),
    (errors.NotFound, ExitCode.REFUSED),
    (errors.Rejected, ExitCode.REFUSED),
    (errors.WaitTimeout, ExitCode.TIMED_OUT),
    (errors.ControllerUnreachable, ExitCode.UNREACHABLE),
    (HistoryUnavailable, ExitCode.UNREACHABLE),
    (OdaUnavailable, ExitCode.UNREACHABLE),
)
_STATES: Final = {"FAILED": ExitCode.SCRIPT_FAILED, "STOPPED": ExitCode.STOPPED}


def of_error(error: errors.OetError) -> ExitCode:
    """Choose the exit code of a request that was not carried out."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), ExitCode.FAULT)


def of_state(state: str) -> ExitCode:
    """Choose the exit code for the state in which a procedure or an activity was left."""
    return _STATES.get(state, ExitCode.DONE)
