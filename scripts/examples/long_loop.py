"""Example: run until stopped, and clean up then."""

from __future__ import annotations

import itertools
import time

from ska_oso_oet.scripting.events import Announcer


def main(period: float = 1.0) -> None:
    """Say something every `period` seconds.

    A stop raises an exception in the script, wherever it is. It is no Exception, so that `except Exception`
    does not swallow it; `finally` blocks run, and have the grace period of a stop (2 s) to end.
    """
    announcer = Announcer("long_loop")
    try:
        announcer.say("running until I am stopped")
        for number in itertools.count(1):
            print(f"round {number}")
            time.sleep(period)
    finally:
        announcer.say("cleaned up")
