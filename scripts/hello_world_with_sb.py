"""Say what a Scheduling Block would observe; no device is commanded.

::

    oet procedure run file:///scripts/hello_world_with_sb.py mid_sb.json
"""

from __future__ import annotations

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.scheduling_block import SchedulingBlock


def init(subarray_id: int) -> None:
    """Take the subarray, as every script of an activity does."""
    print(f"subarray {subarray_id}")


def main(sb_json: str, sbi_id: str | None = None) -> None:
    """Print the scans of the SB in file `sb_json`."""
    block = SchedulingBlock.from_file(sb_json)
    scans, sb_id = block.scans(), sbi_id or block.name
    announcer = Announcer("hello_world_with_sb")
    announcer.say(f"Hello, {sb_id}!")
    announcer.send("sb.lifecycle.observation.started", sb_id=sb_id)
    for scan in scans:
        print(f"{scan.scan_definition_id}: {scan.duration:g} s on {scan.target_ref}")
    announcer.send("sb.lifecycle.observation.finished.succeeded", sb_id=sb_id)
    announcer.progress(100)
