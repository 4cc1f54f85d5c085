"""The log of the server says what was asked for, what came of it, and with which settings."""

from __future__ import annotations

import json
import queue
import re
from typing import TYPE_CHECKING, Any

import tango

if TYPE_CHECKING:
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
DEADLINE = 60.0


def test_a_stopped_procedure_can_be_followed_in_the_log(device_server: DeviceServers, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, time\n\ndef main():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n    print('deaf', flush=True)\n"
        "    while True:\n        time.sleep(1)\n"
    )
    properties: dict[str, object] = {
        "adminMode/__value": 0,
        "ScriptRoots": str(tmp_path),
        "StopGracePeriod": 0.2,
        "HistoryUrl": f"sqlite:///{tmp_path}/history.db",
    }
    proxy = device_server(*CONTROLLER, properties, env={"OET_ABORT_SCRIPT": ""})
    changes: queue.Queue[Any] = queue.Queue()
    for name in ("procedureChanged", "event", "whyNotReady"):
        proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, changes.put)

    def until(state: str) -> None:
        while json.loads(proxy.DescribeProcedure(0))["state"] != state:
            changes.get(timeout=DEADLINE)

    while proxy.whyNotReady:
        changes.get(timeout=DEADLINE)
    proxy.CreateProcedure(
        json.dumps({"script": {"script_type": "filesystem", "script_uri": script.as_uri()}})
    )
    until("READY")
    proxy.StartProcedure(json.dumps({"procedure_id": 1}))
    while "deaf" not in proxy.GetOutput(json.dumps({"procedure_id": 1})):
        changes.get(timeout=DEADLINE)
    proxy.StartProcedure(json.dumps({"procedure_id": 1}))
    proxy.StopProcedure(json.dumps({"procedure_id": 1, "run_abort": True}))
    until("STOPPED")
    assert device_server.of(proxy).stop() == 0
    log = device_server.of(proxy).output
    told = [
        r"test/oetcontroller/0 starts: oet .*StopGracePeriod=0\.2 \(property\)",
        r"scripts can be started",
        r"health is OK",
        r"request CreateProcedure by .*: STARTED ",
        rf"procedure 1 is CREATING: {script.as_uri()}, command ",
        r"procedure 1 is READY",
        r"procedure 1 is RUNNING",
        r"request StartProcedure by .*: REJECTED procedure 1 is RUNNING, not READY",
        r"request StopProcedure by .*: STARTED ",
        r"procedure 1 is sent SIGTERM; SIGKILL follows after 0\.2 s",
        r"process \d+ \(.*\) is sent SIGKILL",
        r"procedure 1 is STOPPED by SIGKILL",
        r"procedure 1 was stopped; abort: not run: no abort script is configured",
    ]
    for line in told:
        assert re.search(rf"^1\|[^|]*\|INFO\|[^|]*\|[^|]*\|[^|]*\|[^|]*\|{line}", log, re.MULTILINE), (
            line,
            log,
        )
