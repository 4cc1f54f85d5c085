"""How a procedure ended: the rules that turn an exit status and a worker's last word into a state."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Literal, NamedTuple

from ska_oso_oet.procedure.domain import ExitRecord, ProcedureState
from ska_oso_oet.procedure.reports import Ending, Left, Raised, Returned

if TYPE_CHECKING:
    from ska_oso_oet.mptools import ExitStatus


class Verdict(NamedTuple):
    """The final state of a procedure, how its process ended, and the script's traceback if it raised."""

    state: ProcedureState
    exit: ExitRecord
    stacktrace: str | None = None


def judge(status: ExitStatus, ending: Ending | None, state: ProcedureState) -> Verdict:
    """Judge the end of a process that was in `state`.

    The script's own end counts if it came before it was asked to stop; else a stop that was asked for counts;
    else what the operating system says.
    """
    own_end = ending is not None and not ending.interrupted
    if status.rung is not None and not (own_end and _ended_well(status)):
        return _stopped(status, ending)
    match ending:
        case Returned(interrupted=False) if state is ProcedureState.RUNNING and _ended_well(status):
            return Verdict(
                ProcedureState.COMPLETE, ExitRecord(cause="returned", code=status.code, signal=status.signal)
            )
        case Raised(interrupted=False):
            exit_record = ExitRecord(cause="raised", code=status.code, message=ending.message)
            return Verdict(ProcedureState.FAILED, exit_record, ending.stacktrace)
        case Left(interrupted=False) if ending.code or _ended_well(status):
            return _left(ending, state)
        case None | Returned(interrupted=False) | Left(interrupted=False):
            return _died(status)
        case _:
            return _interrupted_from_outside()


def _ended_well(status: ExitStatus) -> bool:
    return not status.code and status.signal is None


def _stopped(status: ExitStatus, ending: Ending | None) -> Verdict:
    cleanup = ending if isinstance(ending, Raised) and ending.stacktrace is not None else None
    exit_record = ExitRecord(
        cause="stopped",
        code=status.code,
        signal=status.signal,
        stopped_by=None if status.rung is None else status.rung.value,
        message=None if cleanup is None else f"raised while it cleaned up: {cleanup.message}",
    )
    return Verdict(ProcedureState.STOPPED, exit_record, None if cleanup is None else cleanup.stacktrace)


def _left(ending: Left, state: ProcedureState) -> Verdict:
    well = ending.code == 0 and state is ProcedureState.RUNNING
    exit_record = ExitRecord(
        cause="returned" if well else "exit_code",
        code=ending.code,
        message=f"the script called {ending.message}",
    )
    return Verdict(ProcedureState.COMPLETE if well else ProcedureState.FAILED, exit_record)


def _died(status: ExitStatus) -> Verdict:
    if status.error is not None:
        cause: Literal["signal", "exit_code"] = "exit_code" if status.signal is None else "signal"
        record = ExitRecord(cause=cause, code=status.code, signal=status.signal, message=status.error)
    elif status.signal is not None:
        record = ExitRecord(
            cause="signal", signal=status.signal, message=f"killed by signal {_name(status.signal)}"
        )
    elif status.code is not None:
        record = ExitRecord(
            cause="exit_code",
            code=status.code,
            message=f"the process ended with exit code {status.code} before the script had returned",
        )
    else:
        record = ExitRecord(
            cause="exit_code", message="the process has ended; how is unknown, as the fork server had died"
        )
    return Verdict(ProcedureState.FAILED, record)


def _interrupted_from_outside() -> Verdict:
    return Verdict(
        ProcedureState.FAILED,
        ExitRecord(
            cause="signal",
            message="interrupted by SIGTERM or SIGINT, which was not sent by the controller",
        ),
    )


def _name(signum: int) -> str:
    try:
        return f"{signum} ({signal.Signals(signum).name})"
    except ValueError:
        return str(signum)
