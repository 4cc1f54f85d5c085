"""Switch the telescope to low power.

::

    oet procedure run file:///scripts/standby.py
"""

from __future__ import annotations

from tango import DevState

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.telescope import CentralNode
from ska_oso_oet.tango import TangoExecutor


def main() -> None:
    """Bring the telescope to STANDBY."""
    central_node = CentralNode(TangoExecutor())
    announcer = Announcer("standby")
    announcer.say(f"Switching to low power: {central_node.name}")
    central_node.switch("TelescopeStandby", DevState.STANDBY)
    announcer.progress(100, "the telescope is in STANDBY")
