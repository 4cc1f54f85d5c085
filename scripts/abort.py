"""Stop what a subarray is doing, at once: it comes to ABORTED.

::

    oet procedure run file:///scripts/abort.py --subarray_id=1

The OET runs it by itself when an observation is stopped with abort. A subarray that does
nothing which could be aborted is left as it is.
"""

from __future__ import annotations

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.telescope import Subarray
from ska_oso_oet.ska.control_model import ObsState
from ska_oso_oet.tango import TangoExecutor

NOTHING_TO_ABORT = {ObsState.EMPTY, ObsState.ABORTED, ObsState.FAULT}

chosen = {"subarray_id": 1}


def init(subarray_id: int) -> None:
    """Choose the subarray."""
    chosen.update(subarray_id=subarray_id)


def main(*, restart: bool = False) -> None:
    """Abort; with `restart`, bring an ABORTED or faulty subarray back to EMPTY as well."""
    announcer = Announcer("abort")
    subarray = Subarray(chosen["subarray_id"], TangoExecutor(), announcer)
    state = subarray.state
    if state in NOTHING_TO_ABORT:
        announcer.say(f"subarray {subarray.subarray_id} is {state.name}: nothing to abort")
    else:
        subarray.abort()
        announcer.say(f"subarray {subarray.subarray_id} is ABORTED")
    if restart and subarray.state != ObsState.EMPTY:
        subarray.restart()
        announcer.say(f"subarray {subarray.subarray_id} is EMPTY")
