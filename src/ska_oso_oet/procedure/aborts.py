"""AbortRun follows the abort procedures after a stop, one for each subarray, and what is reported of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ska_oso_oet.procedure.abort_outcome import join_reports
from ska_oso_oet.procedure.record import ends_of

if TYPE_CHECKING:
    from ska_oso_oet.procedure.changes import CommandOutcome
    from ska_oso_oet.procedure.record import Record, StopRequest


@dataclass
class AbortRun:
    """The abort procedures after a stop, and the stops that wait for all of them.

    `content` is reported with the end of the stops. `not_run` has, by subarray, the reason why there is no
    procedure for it.
    """

    stops: tuple[StopRequest, ...]
    content: dict[str, Any]
    aborts: list[Record] = field(default_factory=list)
    not_run: dict[int, str] = field(default_factory=dict)

    def outcomes(self) -> list[CommandOutcome]:
        """List the stops that end with the last of the procedures; none before."""
        if not all(abort.procedure.state.final for abort in self.aborts):
            return []
        return ends_of(self.stops, {**self.content, "abort": self._report()})

    def _report(self) -> dict[str, Any]:
        """Describe how the aborts have ended: of several, the worst one, and each below `subarrays`."""
        if not self.not_run and len(self.aborts) == 1:
            return self.aborts[0].content()
        each: list[dict[str, Any]] = [
            {"subarray_id": abort.procedure.subarray_id, **abort.content()} for abort in self.aborts
        ]
        each += [
            {"subarray_id": number, "state": None, "message": f"not run: {why}"}
            for number, why in self.not_run.items()
        ]
        return join_reports(each)
