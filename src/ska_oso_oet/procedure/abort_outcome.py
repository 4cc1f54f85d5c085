"""Reports of several aborts are joined into one here, for the result of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORST_FIRST: Final = (None, ProcedureState.FAILED, ProcedureState.STOPPED)
"""None: it was not run."""


def join_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make one report of several: the one that went worst, with all of them below `subarrays`."""
    worst = min(reports, key=lambda report: (*_WORST_FIRST, report["state"]).index(report["state"]))
    return {**worst, "subarrays": list(reports)}
