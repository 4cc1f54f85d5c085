"""Which procedure a command without an id means: never another user's, and none where there is doubt."""

from __future__ import annotations

import pytest

from ska_oso_oet.errors import NotReady, ProcedureNotFound, Rejected
from ska_oso_oet.mptools import ExitStatus
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, ProcedureInput, ProcedureState
from ska_oso_oet.procedure.records import Records
from ska_oso_oet.procedure.reports import Raised
from tests.unit.test_procedure_stop import SCRIPT, WAY_TO_READY, Service

S = ProcedureState
ALICE, LATER_ALICE, BOB = "alice@console pid 1", "alice@console pid 2", "bob@console pid 3"
START, STOP = StartProcessCommand.parse({}), StopProcessCommand.parse({})


@pytest.fixture
def service() -> Service:
    return Service()


def create(service: Service, who: str | None, subarray_id: int, *states: ProcedureState) -> int:
    init = ProcedureInput(subarray_id=subarray_id)
    command = PrepareProcessCommand(script=SCRIPT, script_args=CallArgs(init=init))
    pid = service.procedures.prepare(command, None, who).id
    for state in states or WAY_TO_READY:
        service.procedures.on_state(pid, state)
    return pid


def running(service: Service, who: str | None, subarray_id: int, starter: str | None = None) -> int:
    pid = create(service, who, subarray_id)
    service.procedures.start(StartProcessCommand(procedure_id=pid), None, starter)
    return pid


# ------------------------------------------------------------ start


def test_a_start_means_what_its_user_has_created_last(service: Service) -> None:
    mine = create(service, ALICE, 1)
    create(service, BOB, 2)
    assert service.procedures.last_of(LATER_ALICE).id == mine
    assert service.procedures.start(START, None, LATER_ALICE).id == mine


def test_nothing_older_starts_where_the_last_is_not_ready(service: Service) -> None:
    create(service, ALICE, 1)
    slow = create(service, ALICE, 2, S.IDLE, S.LOADING)
    with pytest.raises(NotReady, match=f"procedure {slow}, which was created last, is LOADING, not READY"):
        service.procedures.start(START, None, ALICE)
    service.stop(slow, "stop")
    with pytest.raises(NotReady, match=f"procedure {slow}, which was created last, is being stopped"):
        service.procedures.start(START, None, ALICE)
    service.ended(slow)
    with pytest.raises(NotReady, match=f"procedure {slow}, which was created last, is STOPPED, not READY"):
        service.procedures.start(START, None, ALICE)
    assert ("main", 1) not in service.workers.asked


def test_a_start_of_what_has_failed_says_why_it_has(service: Service) -> None:
    failed = create(service, ALICE, 1, S.IDLE, S.LOADING)
    service.procedures.on_end(failed, ExitStatus(code=1), Raised(message="there is no script /no/such.py"))
    with pytest.raises(NotReady, match=r"is FAILED, not READY: there is no script /no/such\.py$"):
        service.procedures.start(START, None, ALICE)


def test_what_is_remembered_no_more_is_told_from_what_never_was() -> None:
    records = Records(list_length=1)
    records.number_from(5)
    for earlier in (1, 4):
        ended = f"^procedure {earlier}, if there was one, ended with an earlier run"
        with pytest.raises(ProcedureNotFound, match=ended):
            records.get(earlier)
    with pytest.raises(ProcedureNotFound, match=r"^there is no procedure 5$"):
        records.get(5)
    assert records.next_id() == 5
    with pytest.raises(ProcedureNotFound, match=r"^procedure 5 has ended already$"):
        records.get(5)


def test_a_start_does_not_reach_for_another_users(service: Service) -> None:
    with pytest.raises(NotReady, match="no procedure has been created"):
        service.procedures.start(START, None, ALICE)
    other = create(service, BOB, 1)
    with pytest.raises(NotReady, match=f"alice@console has created no procedure.* {other} .*by bob@console"):
        service.procedures.start(START, None, ALICE)
    with pytest.raises(ProcedureNotFound, match="alice@console has created no procedure"):
        service.procedures.last_of(ALICE)
    nobodys = create(service, None, 2)
    with pytest.raises(NotReady, match=rf"{nobodys} .* by another"):
        service.procedures.start(START, None, ALICE)


def test_where_nobody_is_known_the_last_of_all_is_meant(service: Service) -> None:
    create(service, ALICE, 1)
    last = create(service, BOB, 2)
    assert service.procedures.start(START).id == last


def test_an_abort_is_not_what_was_created_last(service: Service) -> None:
    mine = create(service, None, 2)
    pid = running(service, None, 1)
    service.stop(pid, "stop", run_abort=True)
    service.ended(pid)
    assert service.procedures.newest().command_id is None
    with pytest.raises(NotReady, match=f"procedure {pid}, which was created last, is STOPPED"):
        service.procedures.start(START)
    assert service.state(mine) is S.READY


# ------------------------------------------------------------ stop


def test_a_stop_means_the_one_that_runs_for_its_user(service: Service) -> None:
    mine = running(service, ALICE, 1)
    theirs = running(service, BOB, 2)
    assert [summary.id for summary in service.procedures.stop(STOP, None, LATER_ALICE)] == [mine]
    assert service.state(theirs) is S.RUNNING
    assert ("stop", theirs) not in service.workers.asked


def test_who_has_started_it_may_mean_it(service: Service) -> None:
    pid = running(service, ALICE, 1, starter=BOB)
    assert service.procedures.stop(STOP, None, BOB)[0].id == pid


def test_a_stop_does_not_reach_for_another_users(service: Service) -> None:
    theirs = running(service, BOB, 2)
    with pytest.raises(
        Rejected, match=f"no procedure of alice@console.* {theirs} .* by bob@console: say which"
    ):
        service.procedures.stop(STOP, None, ALICE)
    assert service.procedures.join_stop(STOP, ALICE) is None
    assert ("stop", theirs) not in service.workers.asked
    # It is anyone's to stop who says which one is meant.
    assert service.procedures.stop(StopProcessCommand(procedure_id=theirs), None, ALICE)[0].id == theirs


def test_where_there_is_doubt_nothing_is_stopped(service: Service) -> None:
    with pytest.raises(Rejected, match=r"no procedure is RUNNING$"):
        service.procedures.stop(STOP, None, ALICE)
    ready = create(service, ALICE, 1)
    with pytest.raises(
        Rejected, match=rf"no procedure is RUNNING: say .* \(procedure {ready} is READY for subarray 1\)"
    ):
        service.procedures.stop(STOP, None, ALICE)
    one, two = running(service, ALICE, 2), running(service, ALICE, 3)
    for who in (ALICE, None):
        with pytest.raises(Rejected, match=f"procedures {one} and {two} are RUNNING: say which") as refusal:
            service.procedures.stop(STOP, None, who)
        assert f"procedure {two} is RUNNING for subarray 3" in str(refusal.value)


def test_an_abort_that_runs_is_not_meant(service: Service) -> None:
    pid = running(service, None, 1)
    service.stop(pid, "stop", run_abort=True)
    service.ended(pid)
    abort = service.procedures.newest().id
    for state in WAY_TO_READY:
        service.procedures.on_state(abort, state)
    assert service.state(abort) is S.RUNNING
    with pytest.raises(Rejected, match="no procedure is RUNNING"):
        service.procedures.stop(STOP)
