"""`oet status` and `oet config show`, over Tango and over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE
from ska_oso_oet.embedded import rest_is_installed
from tests.system.oet_program import Oet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess


@pytest.fixture(params=["tango", "http"])
def connected(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[StackProcess], Oet]:
    """Give an `oet` for a stack, in one of two ways."""

    def connect(stack: StackProcess) -> Oet:
        oet = Oet(stack.env, tmp_path)
        if request.param == "tango":
            return oet
        if not rest_is_installed():
            pytest.skip("the extra rest is not installed")
        return oet.over_http(stack.rest_url)

    return connect


@pytest.fixture
def oet(connected: Callable[[StackProcess], Oet], stack: StackProcess) -> Oet:
    return connected(stack)


def test_it_says_how_the_oet_fares_and_whether_it_is_ready(oet: Oet, stack: StackProcess) -> None:
    """What `oet up` calls ready is ready for a probe, and what is out of use is not."""
    assert oet.json("status", "--ready")[0] == 0
    code, document = oet.json("status")
    assert code == 0
    assert document["status"]["state"] == "ON"
    adapter = {"mid-oso/oet-rest-adapter/01": True}
    stack.wait_until(lambda: oet.json("status")[1]["status"]["devices"] == adapter, "the adapter answers")
    assert "Scripts can be started" in oet("status").stdout
    controller = tango.DeviceProxy(f"tango://{stack.tango_host}/{DEFAULT_DEVICE}")
    controller.adminMode = 1
    done = oet("status", "--ready")
    assert (done.returncode, done.stdout) == (3, "")
    assert "not ready: the controller is in state DISABLE: adminMode is OFFLINE" in done.stderr
    assert oet("status").returncode == 0
    waited = oet("status", "--wait", "--timeout", "0.3")
    assert waited.returncode == 5
    assert "adminMode is OFFLINE" in waited.stderr
    waiting = oet.start("status", "--wait")
    controller.adminMode = 0
    out, reasons = waiting.communicate(timeout=60)
    assert out == "ready\n"
    assert reasons.startswith("oet: not ready: ") or not reasons  # it may have been switched on before
    assert waiting.returncode == 0


def test_it_prints_the_settings_in_effect(oet: Oet) -> None:
    code, document = oet.json("config", "show")
    assert code == 0
    sources = {line["name"]: line["source"] for line in document["settings"]}
    assert sources["EmbeddedScripts"] == "OET_EMBEDDED_SCRIPTS"
    assert sources["StopGracePeriod"] == "default"
    assert "OET_EMBEDDED_SCRIPTS" in oet("config", "show").stdout


def test_nothing_there_is_unreachable(
    connected: Callable[[StackProcess], Oet], own_stack: StackProcess
) -> None:
    oet = connected(own_stack)
    own_stack.close()
    assert oet("status", "--ready").returncode == 6
