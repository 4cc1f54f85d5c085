"""What of earlier runs is listed."""

from __future__ import annotations

from typing import NamedTuple

from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.earlier import EarlierRuns


class Ended(NamedTuple):
    id: int
    state: ProcedureState = ProcedureState.COMPLETE


LIVE = Ended(9, ProcedureState.RUNNING)


def test_the_newest_are_listed_until_newer_ones_take_their_places() -> None:
    earlier = EarlierRuns[Ended](2)
    assert earlier.before([LIVE]) == [LIVE]
    earlier.remember([Ended(1), Ended(2), Ended(3)])
    assert earlier.before([]) == [Ended(2), Ended(3)]
    assert earlier.before([LIVE]) == [Ended(2), Ended(3), LIVE]
    assert earlier.before([Ended(7), LIVE]) == [Ended(3), Ended(7), LIVE]
    assert earlier.before([Ended(7), Ended(8), LIVE]) == [Ended(7), Ended(8), LIVE]


def test_none_are_listed_where_none_are_kept() -> None:
    earlier = EarlierRuns[Ended](0)
    earlier.remember([Ended(1)])
    assert earlier.before([]) == []
