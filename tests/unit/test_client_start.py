"""A start that is refused, of a procedure that was created for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.client import OETClient
from ska_oso_oet.client.port import Stopped
from ska_oso_oet.client.waiting import CommandResult
from ska_oso_oet.errors import OetError, Rejected, WaitTimeout
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState
from ska_oso_oet.ska.control_model import ResultCode
from ska_oso_oet.source.script import FileSystemScript

if TYPE_CHECKING:
    from ska_oso_oet.procedure.domain import ProcedureSummary


class RefusedClient(OETClient):
    """May start nothing; its stops end as `end` says."""

    def __init__(self, end: OetError | None, *states: ProcedureState) -> None:
        self.end = end
        self.stopped: list[int] = []
        made = Procedure(3, FileSystemScript(script_uri="file:///x.py"), CallArgs(), created_at=1.0)
        for state in states:
            made.advance(state, 2.0)
        self.known = made.summary()

    def start(self, procedure_id: int | None = None, /, *args: Any, **kwargs: Any) -> ProcedureSummary:
        raise Rejected("subarray 1 is taken")

    def describe(self, procedure_id: int = 0) -> ProcedureSummary:
        return self.known

    def stop(self, procedure_id: int | None = None, **how: Any) -> Stopped:
        self.stopped.append(self.known.id)
        if self.end is not None:
            raise self.end
        return Stopped(self.known, CommandResult(ResultCode.OK, "{}"))


S = ProcedureState
TO_READY = (S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY)


@pytest.mark.parametrize(
    ("end", "told"), [(None, "is ended"), (WaitTimeout("not within 10 s"), "is being ended")]
)
def test_its_refusal_is_told_however_long_its_end_takes(end: OetError | None, told: str) -> None:
    client = RefusedClient(end, *TO_READY)
    with pytest.raises(Rejected, match=f"subarray 1 is taken; procedure 3, which was made for this, {told}"):
        client.start_or_end(3)
    assert client.stopped == [3]


def test_one_that_is_not_ready_is_left_alone() -> None:
    client = RefusedClient(None, *TO_READY, S.RUNNING)
    with pytest.raises(Rejected, match=r"^subarray 1 is taken$"):
        client.start_or_end(3)
    assert client.stopped == []
