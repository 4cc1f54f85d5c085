"""Take the scans of a Scheduling Block with a subarray that has its resources.

::

    oet procedure run file:///scripts/observe_sb.py mid_sb.json --subarray_id=1

Whatever ends it early, a stop or an error, it ends the scan and undoes the configuration (IDLE);
a configuration that is under way is aborted (ABORTED); a subarray in FAULT is left as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.scheduling_block import SchedulingBlock
from ska_oso_oet.scripting.telescope import Subarray
from ska_oso_oet.tango import TangoExecutor, scan_id_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

announcer = Announcer("observe_sb")
chosen = {"subarray_id": 1}


def init(subarray_id: int) -> None:
    """Choose the subarray."""
    chosen.update(subarray_id=subarray_id)


def main(sb_json: str, sbi_id: str | None = None, scan_duration: float | None = None) -> None:
    """Do the scans of the SB in file `sb_json`, each `scan_duration` seconds long where that is given."""
    block = SchedulingBlock.from_file(sb_json)
    scans = block.scans(scan_duration)
    sb_id = sbi_id or block.name
    scan_ids = scan_id_generator()
    subarray = Subarray(chosen["subarray_id"], TangoExecutor(), announcer)
    with observation(sb_id, subarray):
        for number, scan in enumerate(scans):
            scan_id = scan_ids.next()
            name = f"scan {number + 1} of {len(scans)}, {scan.scan_definition_id} (ID {scan_id})"

            def report(part: float, number: int = number, name: str = name) -> None:
                announcer.progress(100 * (number + part) / len(scans), name)

            with end_announced("scan.lifecycle.configure", "complete", sb_id, scan_id):
                announcer.send("scan.lifecycle.configure.started", sb_id=sb_id, scan_id=scan_id)
                report(0)
                subarray.configure(scan.configuration)
            with end_announced("scan.lifecycle.end", "succeeded", sb_id, scan_id):
                announcer.send("scan.lifecycle.start", sb_id=sb_id, scan_id=scan_id)
                subarray.scan(scan_id, scan.duration, report)
            print(f"{name}: done")
        subarray.end()


@contextmanager
def observation(sb_id: str, subarray: Subarray) -> Iterator[None]:
    """Tell of the observation's start and end, and bring the subarray to rest if it ends early."""
    try:
        announcer.send("sb.lifecycle.observation.started", sb_id=sb_id)
        yield
    except BaseException:
        subarray.stand_down()
        announcer.send("sb.lifecycle.observation.finished.failed", sb_id=sb_id)
        raise
    announcer.send("sb.lifecycle.observation.finished.succeeded", sb_id=sb_id)


@contextmanager
def end_announced(topic: str, good_end: str, sb_id: str, scan_id: int) -> Iterator[None]:
    """Publish how a part of a scan ends."""
    try:
        yield
    except BaseException:
        announcer.send(f"{topic}.failed", sb_id=sb_id, scan_id=scan_id)
        raise
    announcer.send(f"{topic}.{good_end}", sb_id=sb_id, scan_id=scan_id)
