"""Waiting for a procedure and for a command, whatever happens to the events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from ska_oso_oet.activity.domain import Activity, ActivityCommand, ActivityState
from ska_oso_oet.client.inbox import Deadline
from ska_oso_oet.client.port import read_as
from ska_oso_oet.client.tango_controller import TangoController
from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES, CommandResult, wait_for_command
from ska_oso_oet.errors import (
    ActivityNotFound,
    ControllerUnreachable,
    InvalidArgument,
    NotFound,
    OetError,
    ProcedureNotFound,
    WaitTimeout,
)
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState, ProcedureSummary
from ska_oso_oet.ska.control_model import ResultCode
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.inbox import Connection

S = ProcedureState


class FakeLink:
    """A controller with one procedure, which does a step of `script` each time it is asked."""

    def __init__(self, *script: Callable[[], None]) -> None:
        self.procedure: Procedure | None = self.new(created_at=1.0)
        self.script = list(script)
        self.commands: dict[str, list[Any] | None] = {"known": None}
        self.questions = 0
        self.listeners: list[Callable[[Any], None]] = []
        self.away = False

    @staticmethod
    def new(created_at: float) -> Procedure:
        return Procedure(3, FileSystemScript(script_uri="file:///x.py"), CallArgs(), created_at)

    def advance(self, *states: ProcedureState, arrives: bool = True) -> None:
        assert self.procedure is not None
        for state in states:
            self.procedure.advance(state, 2.0)
            self.tell(self.procedure.summary().to_dict(), arrives=arrives)

    def tell(self, summary: dict[str, Any], *, arrives: bool = True) -> None:
        for deliver in self.listeners if arrives else ():
            deliver(json.dumps({"epoch": "e", "seq": 1, "procedure": summary}))

    def command(self, name: str, argument: Any = None) -> Any:
        if self.away:
            raise ControllerUnreachable("away")
        if name == "GetCommandResult":
            return self.outcome(argument)
        assert (name, argument) == ("DescribeProcedure", 3)
        if self.procedure is None:
            raise NotFound("no procedure 3")
        answer = self.procedure.summary().to_json()
        if self.script:
            self.script.pop(0)()
        return answer

    def outcome(self, command_id: str) -> str:
        self.questions += 1
        if command_id not in self.commands:
            return json.dumps({"status": "NOT_FOUND", "result": None, "progress": None})
        result = self.commands[command_id]
        if self.script:
            self.script.pop(0)()
        status = "IN_PROGRESS" if result is None else "COMPLETED"
        return json.dumps({"status": status, "result": result, "progress": None})

    def end(self, command_id: str, *, told: bool = True) -> None:
        self.commands[command_id] = [0, '{"state": "STOPPED"}']
        update = json.dumps({"status": 5, "result": self.commands[command_id]})
        for deliver in self.listeners if told else ():
            deliver((command_id, update))

    def read(self, attribute: str) -> Any:
        raise AssertionError(f"{attribute} is not read")

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        assert attribute in {"procedureChanged", "_lrcEvent"}
        self.listeners.append(deliver)
        return lambda: self.listeners.remove(deliver)


def controller(link: FakeLink) -> TangoController:
    return TangoController(cast("Connection", link))


TO_READY = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY)


def wait(link: FakeLink, *states: ProcedureState, timeout: float = 10) -> ProcedureState:
    try:
        return PROCEDURES.wait(controller(link), 3, states, Deadline(timeout)).state
    finally:
        assert link.listeners == []


def test_events_tell_what_is_waited_for() -> None:
    link = FakeLink()
    link.script = [lambda: link.advance(*TO_READY)]
    assert wait(link, S.READY) is S.READY


def test_a_state_that_was_passed_counts() -> None:
    link = FakeLink()
    link.advance(*TO_READY, S.RUNNING)
    assert wait(link, S.READY) is S.RUNNING


def test_an_end_is_an_end_whatever_was_waited_for() -> None:
    link = FakeLink()
    link.script = [lambda: link.advance(S.FAILED)]
    assert wait(link, S.READY) is S.FAILED


def test_an_event_that_is_lost_is_found_by_asking() -> None:
    link = FakeLink()
    link.script = [lambda: link.advance(S.STOPPED, arrives=False)]
    # Nothing arrives: the end of the time is a reason to ask, as a quiet time is.
    assert wait(link, timeout=0.05) is S.STOPPED


def test_an_error_event_is_a_reason_to_ask() -> None:
    link = FakeLink()

    def lose() -> None:
        link.advance(S.STOPPED, arrives=False)
        link.listeners[0](None)

    link.script = [lose]
    assert wait(link) is S.STOPPED


def test_events_of_others_do_not_matter() -> None:
    link = FakeLink()
    other = Procedure(4, FileSystemScript(script_uri="file:///x.py"), CallArgs(), 5.0)
    other.advance(S.FAILED, 6.0)

    def both() -> None:
        link.tell(other.summary().to_dict())
        link.tell(other.summary().to_dict())
        link.advance(*TO_READY)

    link.script = [both]
    assert wait(link, S.READY) is S.READY


def test_an_answer_that_is_not_understood_is_no_fault_of_the_user() -> None:
    with pytest.raises(OetError, match="another version") as caught:
        read_as(ProcedureSummary, '{"id": 3, "new": "key"}')
    assert not isinstance(caught.value, InvalidArgument)


def test_time_runs_out() -> None:
    with pytest.raises(WaitTimeout, match=r"procedure 3 is still CREATING after 0\.02 s"):
        wait(FakeLink(), timeout=0.02)


@pytest.mark.parametrize("number", [2**63, 10**30, -1])
def test_there_is_no_procedure_or_activity_whose_number_cannot_travel(number: int) -> None:
    with pytest.raises(ProcedureNotFound, match=f"there is no procedure {number}"):
        PROCEDURES.describe(controller(FakeLink()), number)
    with pytest.raises(ProcedureNotFound, match=f"there is no procedure {number}"):
        PROCEDURES.check(number)
    with pytest.raises(ActivityNotFound, match=f"there is no activity {number}"):
        ACTIVITIES.describe(controller(FakeLink()), number)


def test_an_unknown_procedure_is_not_waited_for() -> None:
    link = FakeLink()
    link.procedure = None
    with pytest.raises(ProcedureNotFound, match="no procedure 3"):
        wait(link)


@pytest.mark.parametrize("successor", [None, FakeLink.new(created_at=9.0)])
def test_a_restarted_controller_is_not_mistaken(successor: Procedure | None) -> None:
    link = FakeLink()

    def restart() -> None:
        link.procedure = successor
        link.listeners[0](None)

    link.script = [restart]
    with pytest.raises(ProcedureNotFound, match="was CREATING and is no longer known"):
        wait(link)


def test_a_controller_may_be_away_for_a_while() -> None:
    link = FakeLink()

    def go_and_return() -> None:
        link.away = True
        link.listeners[0](None)

    link.script = [go_and_return]
    with pytest.raises(WaitTimeout):
        wait(link, timeout=0.05)


class ActivityLink(FakeLink):
    """A controller with one activity."""

    def __init__(self, *script: Callable[[], None]) -> None:
        super().__init__(*script)
        command = ActivityCommand(activity_name="allocate", sbd_id="sbd-1")
        self.activity: Activity | None = Activity(3, command, 1.0)

    def command(self, name: str, argument: Any = None) -> Any:
        assert (name, argument) == ("DescribeActivity", 3)
        if self.activity is None:
            raise NotFound("no activity 3")
        answer = self.activity.summary().to_json()
        if self.script:
            self.script.pop(0)()
        return answer

    def enter(self, *states: ActivityState) -> None:
        assert self.activity is not None
        for state in states:
            self.activity.advance(state, 2.0)
            for deliver in self.listeners:
                deliver(json.dumps({"activity": self.activity.summary().to_dict()}))

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        assert attribute == "activityChanged"
        return super().subscribe("procedureChanged", deliver)


def test_an_activity_is_waited_for_by_its_events() -> None:
    a = ActivityState
    link = ActivityLink(lambda: link.enter(a.PREPARED, a.RUNNING))
    assert ACTIVITIES.wait(controller(link), 3, {a.PREPARED}, Deadline(10)).state in {a.PREPARED, a.RUNNING}
    link.script = [lambda: link.enter(a.FAILED)]
    assert ACTIVITIES.wait(controller(link), 3, {a.COMPLETE}, Deadline(10)).state is a.FAILED
    assert link.listeners == []


def test_an_activity_of_another_life_of_the_controller_is_not_waited_for() -> None:
    def restart() -> None:
        link.activity = None
        link.listeners[0](None)

    link = ActivityLink(restart)
    with pytest.raises(ActivityNotFound, match="activity 3 was REQUESTED and is no longer known"):
        ACTIVITIES.wait(controller(link), 3, (), Deadline(10))


def test_the_result_of_a_command() -> None:
    link = FakeLink()
    link.script = [lambda: link.end("known")]
    result = wait_for_command(link, "known", Deadline(10))
    assert result == CommandResult(ResultCode.OK, '{"state": "STOPPED"}')
    assert result.detail == {"state": "STOPPED"}
    assert CommandResult(ResultCode.OK, "plain").detail == {}
    assert link.questions == 2
    assert link.listeners == []


def test_what_happens_to_other_commands_is_no_reason_to_ask() -> None:
    def much() -> None:
        for number in range(200):
            link.end(f"other{number}")
        for update in ({"status": 2}, {"progress": 50}):
            link.listeners[0](("known", json.dumps(update)))

    link = FakeLink(much)
    with pytest.raises(WaitTimeout):
        wait_for_command(link, "known", Deadline(0.05))
    assert link.questions == 2


@pytest.mark.parametrize("event", [None, ()], ids=["error", "connected"])
def test_a_command_is_asked_for_where_its_end_may_have_been_missed(event: Any) -> None:
    def miss() -> None:
        link.end("known", told=False)
        link.listeners[0](event)

    link = FakeLink(miss)
    assert wait_for_command(link, "known", Deadline(10)).code is ResultCode.OK


def test_an_end_of_which_no_event_tells_is_found_by_asking() -> None:
    link = FakeLink(lambda: link.end("known", told=False))
    # Nothing arrives: the end of the time is a reason to ask, as a quiet time is.
    assert wait_for_command(link, "known", Deadline(0.05)).code is ResultCode.OK


def test_a_command_that_ended_before_is_found() -> None:
    link = FakeLink()
    link.commands["gone"] = [7, "aborted"]
    assert wait_for_command(link, "gone", Deadline(10)).code is ResultCode.ABORTED


def test_a_command_of_another_life_of_the_controller_is_not_waited_for() -> None:
    with pytest.raises(NotFound, match="restarted"):
        wait_for_command(FakeLink(), "gone", Deadline(10))


def test_a_command_that_takes_too_long() -> None:
    with pytest.raises(WaitTimeout, match=r"has not ended after 0\.02 s"):
        wait_for_command(FakeLink(), "known", Deadline(0.02))
