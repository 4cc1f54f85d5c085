"""The rule of exclusivity decides which procedures may run at the same time."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ska_oso_oet.procedure.domain import Procedure


class Exclusivity(StrEnum):
    """One procedure at a time for each subarray, or one at a time altogether."""

    SUBARRAY = "subarray"
    GLOBAL = "global"


def holder_for(
    candidate: Procedure, holders: Iterable[Procedure], exclusivity: Exclusivity
) -> Procedure | None:
    """Find who of those that hold a subarray stands in the way of `candidate`, if anyone does.

    A procedure without a subarray is exclusive against all.
    """
    return next((holder for holder in holders if _conflict(candidate, holder, exclusivity)), None)


def _conflict(one: Procedure, other: Procedure, exclusivity: Exclusivity) -> bool:
    if one.id == other.id:
        return False
    if exclusivity is Exclusivity.GLOBAL or not one.subarrays or not other.subarrays:
        return True
    return not set(one.subarrays).isdisjoint(other.subarrays)


def held_by(holder: Procedure) -> str:
    """Describe what a procedure holds."""
    numbers = ", ".join(map(str, holder.subarrays))
    several = "s" if len(holder.subarrays) > 1 else ""
    of = f"subarray{several} {numbers}" if numbers else "everything"
    return f"procedure {holder.id}, which is {holder.state}, holds {of}"
