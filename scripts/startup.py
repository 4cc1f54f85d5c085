"""Switch the telescope on.

::

    oet procedure run file:///scripts/startup.py
"""

from __future__ import annotations

from tango import DevState

from ska_oso_oet.scripting.events import Announcer
from ska_oso_oet.scripting.telescope import CentralNode
from ska_oso_oet.tango import TangoExecutor


def main() -> None:
    """Bring the telescope to ON."""
    central_node = CentralNode(TangoExecutor())
    announcer = Announcer("startup")
    announcer.say(f"Switching on {central_node.name}")
    central_node.switch("TelescopeOn", DevState.ON)
    announcer.progress(100, "the telescope is ON")
