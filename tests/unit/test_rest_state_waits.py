"""Waiting for states on the event loop: by what the controller reports, without a thread."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

from ska_oso_oet.client.waiting import PROCEDURES
from ska_oso_oet.errors import ControllerUnreachable
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState
from ska_oso_oet.rest.calls import Calls
from ska_oso_oet.rest.state_waits import StateWaits
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.procedure.domain import ProcedureSummary

S = ProcedureState
DEADLINE = 20.0


class FakeController:
    """Has one procedure, which enters one more of `states` after each question, and reports that."""

    def __init__(self, *states: ProcedureState) -> None:
        self.procedure = Procedure(3, FileSystemScript(script_uri="file:///x.py"), CallArgs(), 1.0)
        self.states = list(states)
        self.subscriptions: list[str] = []
        self.deliver: Callable[[Any], None] = lambda _: None
        self.link = self

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> None:
        self.subscriptions.append(attribute)
        self.deliver = deliver

    def described(self, _: object, number: int) -> ProcedureSummary:
        assert number == 3
        summary = self.procedure.summary()
        if summary.state.final:
            return summary
        if not self.states:
            raise ControllerUnreachable("away")
        self.procedure.advance(self.states.pop(0), 2.0)
        self.deliver(json.dumps({"epoch": "e", "seq": 1, "procedure": self.procedure.summary().to_dict()}))
        return summary


def wait(controller: FakeController, state: ProcedureState, within: float, times: int = 1) -> ProcedureState:
    calls = Calls()
    waits = StateWaits(cast("TangoController", controller), calls)

    def reached(summary: ProcedureSummary) -> bool:
        return any(entered is state for entered, _ in summary.history.process_states)

    async def scenario() -> ProcedureSummary:
        known = controller.procedure.summary()
        for _ in range(times):
            known = await asyncio.wait_for(waits.until(PROCEDURES, known, reached, within), DEADLINE)
        return known

    try:
        return asyncio.run(scenario()).state
    finally:
        calls.close()


def test_each_report_is_a_reason_to_ask_until_the_state_is_reached() -> None:
    """With a quiet time before each question, this would take longer than the wait."""
    way = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY, S.RUNNING, S.COMPLETE)
    controller = FakeController(*way)
    assert wait(controller, S.READY, DEADLINE, times=2) is S.READY
    assert controller.subscriptions == ["procedureChanged"]


def test_what_has_ended_is_waited_for_no_longer() -> None:
    assert wait(FakeController(S.FAILED), S.READY, DEADLINE) is S.FAILED


def test_when_the_time_is_over_it_is_as_it_was() -> None:
    assert wait(FakeController(), S.READY, 0.0) is S.CREATING


def test_a_controller_that_is_lost_ends_the_wait_and_not_the_request() -> None:
    assert wait(FakeController(S.IDLE, S.LOADING), S.READY, DEADLINE) is S.IDLE
