"""Example: report progress, which shows in the procedure, in Tango and as a bar in `oet`."""

from __future__ import annotations

import time

from ska_oso_oet.scripting.events import Announcer


def main(steps: int = 10, seconds: float = 0.2) -> None:
    """Do `steps` steps of `seconds` seconds each."""
    announcer = Announcer("progress")
    for step in range(1, steps + 1):
        time.sleep(seconds)  # the work
        announcer.progress(100 * step / steps, f"step {step} of {steps}")
