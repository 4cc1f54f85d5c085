"""Take all resources from a subarray.

::

    oet procedure run file:///scripts/deallocate.py --subarray_id=1
"""

from __future__ import annotations

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.telescope import Subarray
from ska_oso_oet.tango import TangoExecutor

chosen = {"subarray_id": 1}


def init(subarray_id: int) -> None:
    """Choose the subarray."""
    chosen.update(subarray_id=subarray_id)


def main(sb_json: str | None = None, sbi_id: str | None = None) -> None:
    """Release everything; the arguments are those of an activity, and make no difference."""
    del sb_json, sbi_id
    announcer = Announcer("deallocate")
    subarray = Subarray(chosen["subarray_id"], TangoExecutor(), announcer)
    try:
        subarray.release()
    except BaseException:
        subarray.stand_down()
        raise
    announcer.progress(100, f"subarray {subarray.subarray_id} is EMPTY")
