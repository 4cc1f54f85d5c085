"""Give a subarray the resources that a Scheduling Block asks for.

::

    oet procedure run file:///scripts/allocate_from_file_sb.py mid_sb.json --subarray_id=1

Stopped while resources are being assigned, it leaves the subarray ABORTED.
"""

from __future__ import annotations

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.scheduling_block import SchedulingBlock
from ska_oso_oet.scripting.telescope import Subarray
from ska_oso_oet.tango import TangoExecutor

chosen = {"subarray_id": 1}


def init(subarray_id: int) -> None:
    """Choose the subarray."""
    chosen.update(subarray_id=subarray_id)


def main(sb_json: str, sbi_id: str | None = None) -> None:
    """Allocate what the SB in file `sb_json` asks for; `sbi_id` is the SBInstance, if there is one."""
    announcer = Announcer("allocate_from_file_sb")
    block = SchedulingBlock.from_file(sb_json)
    resources = block.resources(chosen["subarray_id"])
    subarray = Subarray(chosen["subarray_id"], TangoExecutor(), announcer)
    try:
        subarray.assign(resources)
    except BaseException:
        subarray.stand_down()
        raise
    announcer.send("sb.lifecycle.allocated", sb_id=sbi_id or block.name)
    announcer.progress(100, f"subarray {subarray.subarray_id} has its resources")
