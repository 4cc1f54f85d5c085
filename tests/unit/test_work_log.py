"""The controller's log: one line for each thing that happens, which nobody else's text can forge."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.device.work_log import WorkLog, log_health, log_readiness, log_request
from ska_oso_oet.event.journal import Event
from ska_oso_oet.procedure.changes import CommandOutcome, ProcedureChange
from ska_oso_oet.procedure.domain import CallArgs, ExitRecord, Procedure, ProcedureInput, ProcedureState
from ska_oso_oet.source.script import EmbeddedStringScript

if TYPE_CHECKING:
    from collections.abc import Callable

S = ProcedureState


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def tell(log: WorkLog, procedure: Procedure, *outcomes: CommandOutcome) -> None:
    change = ProcedureChange(procedure.summary(), outcomes)
    event = Event(
        seq=1, topic="procedure.lifecycle.statechange", msg_src="x", procedure_id=7, json="{}", subject=change
    )
    log.on_procedure(change, event)


def test_each_state_of_a_procedure_is_one_line(lines: Callable[[], list[str]]) -> None:
    log = WorkLog()
    script = EmbeddedStringScript(script_source="", script_name="a\n1|forged")
    arguments = CallArgs(init=ProcedureInput(subarray_id=2))
    procedure = Procedure(7, script, arguments, created_at=1.0, command_id="c")
    for state in (None, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING):
        if state is not None:
            procedure.advance(state, 2.0)
        tell(log, procedure)
        tell(log, procedure)
    procedure.exit = ExitRecord(cause="stopped", signal=9, stopped_by="SIGKILL", message="it did not end")
    procedure.advance(S.STOPPED, 3.0)
    abort: dict[str, Any] = {"procedure_id": 7, "abort": {"state": None, "message": "not run: held"}}
    tell(log, procedure, CommandOutcome("c", "ok", abort))
    assert lines() == [
        r"procedure 7 is CREATING: a\n1|forged, subarray 2, command c",
        "procedure 7 is IDLE",
        "procedure 7 is LOADING",
        "procedure 7 is IDLE",
        "procedure 7 is INITIALISING",
        "procedure 7 is READY",
        "procedure 7 is RUNNING",
        "procedure 7 is STOPPED by SIGKILL: it did not end",
        "procedure 7 was stopped; abort: not run: held",
    ]


def test_requests_and_health_are_one_line_each(lines: Callable[[], list[str]]) -> None:
    log_request("StartProcedure", None, "REJECTED", "procedure 3\nis not READY")
    log_health("DEGRADED", ["history: away", "ODA: away"])
    log_health("OK", [])
    log_readiness("fork server: has died")
    log_readiness("")
    assert lines() == [
        r"request StartProcedure by unknown: REJECTED procedure 3\nis not READY",
        "health is DEGRADED: history: away; ODA: away",
        "health is OK",
        "scripts cannot be started: fork server: has died",
        "scripts can be started",
    ]
