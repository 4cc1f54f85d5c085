"""The exit of a procedure follows from the exit status of its process and the last word of its worker."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from ska_oso_oet.mptools import Rung
from ska_oso_oet.procedure.domain import ExitRecord, ProcedureState
from ska_oso_oet.procedure.reports import Ending, Left, Raised, Returned

if TYPE_CHECKING:
    from ska_oso_oet.mptools import ExitStatus

_CUT_OFF: Final = "killed, as it had not ended within the grace period: its clean-up was cut off"


def judge(status: ExitStatus, ending: Ending | None, state: ProcedureState) -> ExitRecord:
    """Judge the end of a process that was in `state`.

    Whoever was asked to stop and ended is STOPPED, whatever its script made of that. Else the script's own
    word counts, unless it claims to have ended well and the operating system knows better.

    The exit code of whatever is not COMPLETE is never 0, so that a program may go by it.
    """
    if status.rung is not None:
        return _stopped(status, ending, state)
    match ending:
        case None:
            return _died(status)
        case Raised(interrupted=False):
            return _failed(status, ending)
        case Left(interrupted=False) if ending.code != 0:
            return _failed(status, ending)
        case Returned(interrupted=False) | Left(interrupted=False):
            return _ended_well(status, ending, state)
        case _:
            return _interrupted_from_outside(status)


def stacktrace_of(ending: Ending | None, exit_record: ExitRecord) -> str | None:
    """Return the traceback of what the script raised, unless it was a signal that ended it."""
    if isinstance(ending, Raised) and exit_record.cause != "signal":
        return ending.stacktrace
    return None


def _ended_well(status: ExitStatus, ending: Returned | Left, state: ProcedureState) -> ExitRecord:
    if status.signal is not None or status.code:
        return _died(status, before=_in_words(ending))
    if state is ProcedureState.RUNNING:
        message = _in_words(ending) if isinstance(ending, Left) else None
        return ExitRecord(cause="returned", code=status.code, message=message)
    # Nothing can have ended well where main was not called.
    return _failed(status, ending) if isinstance(ending, Left) else _died(status)


def _failed(status: ExitStatus, ending: Raised | Left) -> ExitRecord:
    return ExitRecord(
        cause="raised" if isinstance(ending, Raised) else "exit_code",
        code=(status.code if isinstance(ending, Raised) else ending.code) or None,
        signal=status.signal,
        message=_in_words(ending),
    )


def _died(status: ExitStatus, before: str | None = None) -> ExitRecord:
    return ExitRecord(
        cause="exit_code" if status.signal is None else "signal",
        code=status.code or None,
        signal=status.signal,
        message=_how_it_died(status, before),
    )


def _how_it_died(status: ExitStatus, before: str | None) -> str:
    if status.error is not None:
        return status.error
    if status.signal is None and status.code is None:
        return "the process has ended; how is unknown, as the fork server had died"
    if status.signal is None:
        how, otherwise = (
            f"the process ended with exit code {status.code}",
            " before the script had returned",
        )
    else:
        how, otherwise = f"killed by signal {_name(status.signal)}", ""
    return how + (otherwise if before is None else f"; before that, {before}")


def _stopped(status: ExitStatus, ending: Ending | None, state: ProcedureState) -> ExitRecord:
    # One that ended by itself when SIGKILL was on its way has heard SIGTERM.
    rung = status.rung if status.code is None else Rung.SIGTERM
    return ExitRecord(
        cause="stopped",
        code=status.code or None,
        signal=status.signal,
        stopped_by=None if rung is None else rung.value,
        message=None if state is ProcedureState.CREATING else _what_it_did(status, ending, rung),
    )


def _what_it_did(status: ExitStatus, ending: Ending | None, rung: Rung | None) -> str | None:
    """Describe what a script did that was asked to stop; None where it let itself be interrupted."""
    if status.error is not None and status.code is None and status.signal is None:
        return status.error  # nobody has seen its end
    words = [None if ending is None or _gave_way(ending) else _in_words(ending), status.error]
    done = "; ".join(filter(None, words)) or None
    if rung is Rung.SIGKILL:
        return _CUT_OFF if done is None else f"{_CUT_OFF}; before that, {done}"
    if status.signal is not None or ending is None:
        return _how_it_died(status, done)
    return done


def _gave_way(ending: Ending) -> bool:
    return isinstance(ending, Raised) and ending.interrupted and ending.stacktrace is None


def _in_words(ending: Ending) -> str:
    match ending:
        case Returned():
            return "main returned"
        case Left():
            return f"the script called {ending.message}"
        case Raised(interrupted=True):
            return f"raised while it cleaned up: {ending.message}"
        case Raised():
            return ending.message


def _interrupted_from_outside(status: ExitStatus) -> ExitRecord:
    return ExitRecord(
        cause="signal",
        code=status.code or None,
        message="interrupted by SIGTERM or SIGINT, which was not sent by the controller",
    )


def _name(signum: int) -> str:
    try:
        return f"{signum} ({signal.Signals(signum).name})"
    except ValueError:
        return str(signum)
