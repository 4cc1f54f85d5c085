"""The program that runs the controller, as a terminal or a supervisor sees it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tango import DevState

if TYPE_CHECKING:
    from pathlib import Path

    from tests.device.conftest import DeviceServers

MODULE = """
import runpy
import signal
import sys

class OETController:
    @staticmethod
    def run_server(args):
        sys.argv[1:] = args
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        runpy.run_module("ska_oso_oet.main", run_name="__main__")
"""


def test_python_m_runs_the_controller_and_a_hang_up_ends_it_in_order(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    source = tmp_path / "run_module.py"
    source.write_text(MODULE)
    proxy = device_server(source, "OETController", {"adminMode/__value": 0})
    assert proxy.state() is DevState.ON
    server = device_server.of(proxy)
    assert server.stop(signal.SIGHUP) == 0
    assert "Stopping, which may take" in server.output
