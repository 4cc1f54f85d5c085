"""Starts that are asked for before a procedure is READY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.errors import NotReady, SubarrayNotAllowed
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState
from ska_oso_oet.procedure.subarrays import Subarrays
from tests.unit.test_procedure_stop import SCRIPT, Service

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event

S = ProcedureState


@pytest.fixture
def service() -> Service:
    return Service()


def force(service: Service, pid: int, command_id: str = "start", **kwargs: Any) -> ProcedureState:
    main = ProcedureInput.parse({"kwargs": kwargs}) if kwargs else None
    command = StartProcessCommand(pid, "main", main, force_start=True)
    return service.procedures.start(command, command_id, "alma@desk pid 1").state


def outcomes_of(service: Service) -> dict[str, str]:
    """Collect the results of commands from what was published since."""
    found: dict[str, str] = {}

    def note(event: Event) -> None:
        if isinstance(event.subject, ProcedureChange):
            found.update({each.command_id: each.result for each in event.subject.outcomes})

    service.bus.subscribe(note)
    service.dispatch()
    return found


def test_a_start_is_queued_behind_the_preparation(service: Service) -> None:
    pid = service.created(command_id="create")
    assert force(service, pid, scan_duration=14.0) is S.CREATING
    assert ("main", pid) not in service.workers.asked
    service.becomes_ready(pid)
    assert service.workers.asked[-1] == ("main", pid)
    [summary] = service.procedures.summarise([pid])
    assert summary.state is S.RUNNING
    assert summary.script_args.main == ProcedureInput(scan_duration=14.0)
    assert outcomes_of(service) == {"create": "ok"}


def test_one_start_is_queued_and_without_force_none(service: Service) -> None:
    pid = service.created()
    with pytest.raises(NotReady, match="is CREATING, not READY"):
        service.procedures.start(StartProcessCommand(procedure_id=pid))
    force(service, pid)
    with pytest.raises(NotReady, match="is going to be started once it is READY"):
        force(service, pid)
    service.becomes_ready(pid)
    with pytest.raises(NotReady, match="is RUNNING"):
        force(service, pid)


def test_a_queued_start_ends_with_a_procedure_that_is_never_ready(service: Service) -> None:
    pid = service.created(command_id="create")
    force(service, pid)
    service.stop(pid, "stop")
    with pytest.raises(NotReady, match="is being stopped"):
        force(service, pid)
    service.ended(pid)
    assert outcomes_of(service) == {"create": "aborted", "start": "aborted", "stop": "ok"}


def test_a_start_that_is_given_up_stops_what_it_waits_for(service: Service) -> None:
    pid = service.created(command_id="create")
    force(service, pid)
    service.procedures.abandon("start")
    assert service.workers.asked[-1] == ("stop", pid)


def test_a_queued_start_for_a_subarray_that_is_held_says_so_and_leaves_it_ready(service: Service) -> None:
    holder = service.running(1)
    pid = service.created(1, command_id="create")
    force(service, pid)
    service.becomes_ready(pid)
    assert service.state(pid) is S.READY
    assert outcomes_of(service) == {"create": "ok", "start": "failed"}
    service.ended(holder)
    assert force(service, pid, "again") is S.RUNNING


def test_a_queued_start_that_is_refused_leaves_the_arguments_as_they_were(service: Service) -> None:
    service.running(2)
    pid = service.created(1)
    force(service, pid, subarray_id=2)
    service.becomes_ready(pid)
    [summary] = service.procedures.summarise([pid])
    assert (summary.state, summary.script_args.main, summary.subarray_ids) == (S.READY, ProcedureInput(), [1])
    service.procedures.start(StartProcessCommand(procedure_id=pid))
    assert service.state(pid) is S.RUNNING


def test_what_init_is_given_is_held_though_a_start_that_is_queued_names_another(service: Service) -> None:
    """Nobody has named a subarray for init, and the start for main comes before the script is loaded."""
    service.running(1)
    pid = service.procedures.prepare(PrepareProcessCommand(script=SCRIPT)).id
    force(service, pid, subarray_id=2)
    for state in (S.IDLE, S.LOADING, S.IDLE):
        service.procedures.on_state(pid, state)
    service.procedures.on_subarray(pid, 1)
    for state in (S.INITIALISING, S.READY):
        service.procedures.on_state(pid, state)
    [summary] = service.procedures.summarise([pid])
    assert (summary.state, summary.subarray_ids) == (S.READY, [1])
    assert outcomes_of(service)["start"] == "failed"


def test_a_subarray_that_is_not_allowed_is_refused_at_once() -> None:
    service = Service(subarrays=Subarrays.read("1", 16))
    pid = service.created(1)
    with pytest.raises(SubarrayNotAllowed):
        force(service, pid, subarray_id=2)
