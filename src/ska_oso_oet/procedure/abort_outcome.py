"""This module words how several aborts have ended, for the result of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORST_FIRST: Final = (None, ProcedureState.FAILED, ProcedureState.STOPPED)
"""None: it was not run."""


def told_together(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tell of the one that went worst, and of each below `subarrays`."""
    worst = min(each, key=lambda told: (*_WORST_FIRST, told["state"]).index(told["state"]))
    return {**worst, "subarrays": list(each)}
