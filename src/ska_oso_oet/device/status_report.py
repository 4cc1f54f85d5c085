"""The report of GetStatus is one document: how the controller is, and what it does."""

from __future__ import annotations

import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

import tango

from ska_oso_oet import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ska_oso_oet.engine import Engine


def versions() -> dict[str, str]:
    """Return the versions of the software."""
    return {
        "oet": __version__,
        "python": platform.python_version(),
        "pytango": tango.__version__,
        "tango": tango.constants.TgLibVers,
    }


def work(engine: Engine | None) -> dict[str, Any]:
    """Return who holds which subarray, and how many procedures and activities are in which state.

    `subarray_id` is null for a procedure that holds everything.
    """
    if engine is None:
        return {"subarrays": [], "procedures": {}, "activities": {}}
    holders = engine.procedures.holders()
    return {
        "subarrays": [
            {"subarray_id": subarray, "procedure_id": holder.id, "state": holder.state.value}
            for holder in holders
            for subarray in (*holder.subarrays,) or (None,)
        ],
        "procedures": _counts(summary.state.value for summary in engine.procedures.summarise()),
        "activities": _counts(summary.state.value for summary in engine.activities.summarise()),
    }


def _counts(states: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(states).items()))
