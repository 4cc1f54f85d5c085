"""The table of ends: what the operating system says, what the worker said, and what is made of both."""

from __future__ import annotations

import pytest

from ska_oso_oet.errors import InvalidArgument, OetError
from ska_oso_oet.mptools import ExitStatus, Rung
from ska_oso_oet.procedure.bounds import MAX_STACKTRACE
from ska_oso_oet.procedure.domain import ProcedureState as S
from ska_oso_oet.procedure.reports import Ending, Left, Raised, Returned, StateEntered, parse_report
from ska_oso_oet.procedure.verdict import judge, stacktrace_of
from ska_oso_oet.worker.endings import of_exception, of_system_exit

OWN, TERM, KILL = (
    ExitStatus(code=0),
    ExitStatus(0, rung=Rung.SIGTERM),
    ExitStatus(signal=9, rung=Rung.SIGKILL),
)
RAISED = Raised(message="ValueError: x", stacktrace="trace")
INTERRUPTED = Raised(message="stopped", interrupted=True)


@pytest.mark.parametrize(
    ("status", "ending", "state", "expected"),
    [
        # its own end
        (OWN, Returned(), S.RUNNING, (S.COMPLETE, "returned", None)),
        (OWN, RAISED, S.RUNNING, (S.FAILED, "raised", None)),
        (OWN, Left(code=0, message="sys.exit(0)"), S.RUNNING, (S.COMPLETE, "returned", None)),
        (OWN, Left(code=0, message="sys.exit(0)"), S.INITIALISING, (S.FAILED, "exit_code", None)),
        (OWN, Left(code=3, message="sys.exit(3)"), S.RUNNING, (S.FAILED, "exit_code", None)),
        # nothing can have returned where no main was called
        (OWN, Returned(), S.READY, (S.FAILED, "exit_code", None)),
        # the operating system's word counts
        (ExitStatus(signal=11), Returned(), S.RUNNING, (S.FAILED, "signal", None)),
        (ExitStatus(code=3), Returned(), S.RUNNING, (S.FAILED, "exit_code", None)),
        (ExitStatus(signal=9), Left(code=0, message="sys.exit(0)"), S.RUNNING, (S.FAILED, "signal", None)),
        (ExitStatus(signal=9), RAISED, S.RUNNING, (S.FAILED, "raised", None)),
        # unless there is none
        (ExitStatus(), Returned(), S.RUNNING, (S.COMPLETE, "returned", None)),
        # whoever was asked to stop is stopped, whatever it did with the signal
        (TERM, Returned(), S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, RAISED, S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, Left(code=0, message="sys.exit(0)"), S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (KILL, Returned(), S.RUNNING, (S.STOPPED, "stopped", "SIGKILL")),
        (ExitStatus(0, rung=Rung.SIGKILL), None, S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, None, S.CREATING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, INTERRUPTED, S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, Returned(interrupted=True), S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (TERM, Left(code=1, message="x", interrupted=True), S.RUNNING, (S.STOPPED, "stopped", "SIGTERM")),
        (KILL, None, S.RUNNING, (S.STOPPED, "stopped", "SIGKILL")),
        (KILL, INTERRUPTED, S.RUNNING, (S.STOPPED, "stopped", "SIGKILL")),
        # nobody asked
        (ExitStatus(signal=9), None, S.RUNNING, (S.FAILED, "signal", None)),
        (ExitStatus(code=0), None, S.RUNNING, (S.FAILED, "exit_code", None)),
        (ExitStatus(code=7), None, S.LOADING, (S.FAILED, "exit_code", None)),
        (ExitStatus(), None, S.RUNNING, (S.FAILED, "exit_code", None)),
        (ExitStatus(error="no process"), None, S.CREATING, (S.FAILED, "exit_code", None)),
        (ExitStatus(signal=9, error="garbage"), None, S.RUNNING, (S.FAILED, "signal", None)),
        (OWN, INTERRUPTED, S.RUNNING, (S.FAILED, "signal", None)),
        (OWN, Returned(interrupted=True), S.RUNNING, (S.FAILED, "signal", None)),
    ],
)
def test_the_end_is_judged(
    status: ExitStatus, ending: Ending | None, state: S, expected: tuple[S, str, str | None]
) -> None:
    end = judge(status, ending, state)
    assert (end.state, end.cause, end.stopped_by) == expected
    assert end.state is not S.FAILED or end.message
    assert end.code != 0 or end.state is S.COMPLETE


def test_what_a_clean_up_raised_is_not_lost() -> None:
    raised = Raised(message="ValueError: x", stacktrace="trace", interrupted=True)
    end = judge(TERM, raised, S.RUNNING)
    assert end.state is S.STOPPED
    assert end.message == "raised while it cleaned up: ValueError: x"
    assert stacktrace_of(raised, end) == "trace"


@pytest.mark.parametrize(
    ("status", "ending", "stacktrace"),
    [
        (OWN, RAISED, "trace"),
        (ExitStatus(signal=9), RAISED, "trace"),
        (OWN, Raised(message="stopped", stacktrace="trace", interrupted=True), None),
        (OWN, Left(code=3, message="sys.exit(3)"), None),
        (OWN, None, None),
    ],
)
def test_a_traceback_is_that_of_a_script_that_raised(
    status: ExitStatus, ending: Ending | None, stacktrace: str | None
) -> None:
    assert stacktrace_of(ending, judge(status, ending, S.RUNNING)) == stacktrace


CUT_OFF = "killed, as it had not ended within the grace period: its clean-up was cut off"


@pytest.mark.parametrize(
    ("status", "ending", "message"),
    [
        (TERM, INTERRUPTED, None),
        (TERM, Returned(), "main returned"),
        (TERM, Returned(interrupted=True), "main returned"),
        (TERM, Left(code=0, message="sys.exit(0)"), "the script called sys.exit(0)"),
        (TERM, RAISED, "ValueError: x"),
        (ExitStatus(signal=15, rung=Rung.SIGTERM), None, "killed by signal 15 (SIGTERM)"),
        (
            ExitStatus(signal=11, rung=Rung.SIGTERM),
            Returned(),
            "killed by signal 11 (SIGSEGV); before that, main returned",
        ),
        (TERM, None, "the process ended with exit code 0 before the script had returned"),
        (KILL, None, CUT_OFF),
        (KILL, INTERRUPTED, CUT_OFF),
        (KILL, Returned(), f"{CUT_OFF}; before that, main returned"),
    ],
)
def test_the_record_of_a_stop_says_what_the_script_did(
    status: ExitStatus, ending: Ending | None, message: str | None
) -> None:
    assert judge(status, ending, S.RUNNING).message == message


def test_nothing_is_said_of_the_clean_up_of_what_had_not_begun() -> None:
    assert judge(KILL, None, S.CREATING).message is None


def test_a_script_that_claims_to_have_returned_and_is_killed_has_not_ended_well() -> None:
    end = judge(ExitStatus(signal=9), Returned(), S.RUNNING)
    assert end.message == "killed by signal 9 (SIGKILL); before that, main returned"
    assert end.code is None


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert judge(ExitStatus(signal=60), None, S.RUNNING).message == "killed by signal 60"


# ------------------------------------------------------------ endings


def caught(error: BaseException) -> Raised:
    def script() -> None:
        raise error

    with pytest.raises(type(error)) as info:
        script()
    return of_exception(info.value, interrupted=False)


def test_an_exception_becomes_one_line_and_a_traceback() -> None:
    raised = caught(ValueError("one\ntwo"))
    assert raised.message == "ValueError: one"
    assert str(raised.stacktrace).endswith("ValueError: one\ntwo\n")


def test_an_error_of_the_engine_has_no_traceback() -> None:
    raised = caught(OetError("there is no script x"))
    assert (raised.message, raised.stacktrace) == ("there is no script x", None)


def test_a_long_traceback_keeps_its_end() -> None:
    raised = caught(ValueError("x" * MAX_STACKTRACE + "the end"))
    assert len(str(raised.stacktrace)) == MAX_STACKTRACE
    assert str(raised.stacktrace).endswith("the end\n")
    assert len(raised.message) <= 500


def test_what_utf8_cannot_say_is_shown() -> None:
    assert caught(ValueError("\udcff")).message == r"ValueError: \udcff"
    assert of_system_exit(SystemExit("\udcff"), interrupted=False).message == r"sys.exit: \udcff"


@pytest.mark.parametrize(
    ("argument", "code", "message"),
    [(None, 0, "sys.exit(0)"), (0, 0, "sys.exit(0)"), (3, 3, "sys.exit(3)"), ("why", 1, "sys.exit: why")],
)
def test_sys_exit(argument: object, code: int, message: str) -> None:
    left = of_system_exit(SystemExit(argument), interrupted=True)
    assert (left.code, left.message, left.interrupted) == (code, message, True)


# ------------------------------------------------------------ reports


@pytest.mark.parametrize(
    "report", [StateEntered(state=S.READY), Returned(), RAISED, Left(code=1, message="x")]
)
def test_a_report_survives_the_pipe(report: StateEntered | Ending) -> None:
    assert parse_report(report.to_dict()) == report


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "nonsense"},
        {"kind": "state", "state": "NONSENSE"},
        {"kind": "state", "state": "COMPLETE"},
        {"kind": "state", "state": "RUNNING"},
        {"kind": "raised"},
        {"kind": "left", "code": "x", "message": "y"},
        {"kind": "returned", "more": 1},
    ],
)
def test_what_is_no_report_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        parse_report(content)
