"""Example: observe with several subarrays of SKA-Mid at the same time, from one script.

Each step commands all subarrays and then waits for all of them::

    oet procedure run file:///scripts/examples/parallel_subarrays.py --subarray_ids=[1,2]

So the OET holds these two, and aborts both if it is stopped. Without the argument the script names none to
it, and runs beside no other.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.telescope import Subarray
from ska_oso_oet.ska.control_model import ObsState
from ska_oso_oet.tango import TangoExecutor, scan_id_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DISHES = {1: ["SKA001", "SKA036"], 2: ["SKA063", "SKA100"], 3: ["SKA008"], 4: ["SKA013"]}


def main(subarray_ids: Sequence[int] = (1, 2), scan_duration: float = 5.0) -> None:
    """Take one scan of `scan_duration` seconds with each of the subarrays."""
    executor, announcer = TangoExecutor(), Announcer("parallel_subarrays")
    subarrays = [Subarray(number, executor, announcer) for number in subarray_ids]
    for subarray in subarrays:
        dishes = {"receptor_ids": DISHES[subarray.subarray_id]}
        subarray.assign({"subarray_id": subarray.subarray_id, "dish": dishes})
    configuration = {"dish": {"receiver_band": "1"}, "tmc": {"scan_duration": scan_duration}}
    scan_ids = scan_id_generator()
    try:
        each(subarrays, ObsState.READY, "Configure", lambda: configuration)
        announcer.progress(30, "configured")
        each(subarrays, ObsState.READY, "Scan", lambda: {"scan_id": scan_ids.next()}, scan_duration + 60)
        announcer.progress(80, "scanned")
        each(subarrays, ObsState.IDLE, "End")
    finally:
        for subarray in subarrays:
            subarray.stand_down()
    for subarray in subarrays:
        subarray.release()
    announcer.progress(100, "released")


def each(
    subarrays: Sequence[Subarray],
    wanted: ObsState,
    command: str,
    argument: Callable[[], dict[str, Any] | None] = lambda: None,
    timeout: float = 60,
) -> None:
    """Send a command to all, then wait until each has come to `wanted`."""
    with ExitStack() as all_of_them:
        for subarray in subarrays:
            all_of_them.enter_context(subarray.expects(wanted, timeout))
            subarray.execute(command, argument())
