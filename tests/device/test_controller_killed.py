"""What a client has been told of a procedure's existence and end is true after kill -9 under load, too."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import tango

from ska_oso_oet.client import OETClient
from ska_oso_oet.client.lost_stop import ended_with_the_controller
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
DEADLINE = 60.0
ROUNDS = 4
AT_ONCE = 3


class Told:
    """What clients were told, by events and by answers; once there is enough of it, `enough` is set."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}
        self.enough = threading.Event()
        self.ended = threading.Condition()
        self._wanted = 12

    def take(self, number: int, state: str) -> None:
        with self.ended:
            before = self.states.get(number)
            if before is None or not ProcedureState(before).final:
                self.states[number] = state
            self.ended.notify_all()
        if sum(ProcedureState(each).final for each in self.states.values()) >= self._wanted:
            self.enough.set()

    def on_event(self, event: tango.EventData) -> None:
        if not event.err and (procedure := json.loads(event.attr_value.value).get("procedure")):
            self.take(procedure["id"], procedure["state"])


def load(proxy: tango.DeviceProxy, script: str, told: Told) -> None:
    """Run procedures one after the other until the controller is gone, and read what there is."""
    request = json.dumps({"script": {"script_type": "filesystem", "script_uri": script}})
    with tango.EnsureOmniThread():
        try:
            while True:
                _, [command_id] = proxy.CreateProcedure(request)
                listed = json.loads(proxy.procedures)["procedures"]
                for procedure in listed:
                    told.take(procedure["id"], procedure["state"])
                number = next(each["id"] for each in listed if each["command_id"] == command_id)
                with told.ended:
                    told.ended.wait_for(lambda: told.states.get(number) == "READY", 5.0)  # noqa: B023
                proxy.StartProcedure(json.dumps({"procedure_id": number}))
                described = json.loads(proxy.DescribeProcedure(number))
                told.take(number, described["state"])
        except (tango.DevFailed, StopIteration):
            return


def test_what_was_told_is_true_after_kill_9(device_server: DeviceServers, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def main():\n    pass\n")
    properties: dict[str, object] = {
        "adminMode/__value": 0,
        "ScriptRoots": str(tmp_path),
        "Exclusivity": "subarray",
        "HistoryUrl": f"sqlite:///{tmp_path}/history.db",
    }
    told = Told()
    everything: dict[int, str] = {}
    for _ in range(ROUNDS):
        proxy = device_server(*CONTROLLER, properties)
        for number, state in everything.items():
            found = json.loads(proxy.DescribeProcedure(number))["state"]
            assert found == state if ProcedureState(state).final else ProcedureState(found).final
        told = Told()
        proxy.subscribe_event("procedureChanged", tango.EventType.CHANGE_EVENT, told.on_event)
        clients = [threading.Thread(target=load, args=(proxy, script.as_uri(), told)) for _ in range(AT_ONCE)]
        for client in clients:
            client.start()
        assert told.enough.wait(DEADLINE)
        device_server.of(proxy).process.kill()
        device_server.of(proxy).stop()
        for client in clients:
            client.join(DEADLINE)
        everything.update(told.states)


def test_an_abort_that_is_cut_off_is_known_as_that_afterwards(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    script, abort = tmp_path / "script.py", tmp_path / "abort.py"
    script.write_text("import time\n\ndef main(subarray_id):\n    time.sleep(600)\n")
    abort.write_text(
        "import time\n\ndef init(subarray_id):\n    pass\n\ndef main(*args, **kwargs):\n    time.sleep(600)\n"
    )
    properties: dict[str, object] = {
        "adminMode/__value": 0,
        "ScriptRoots": str(tmp_path),
        "AbortScript": abort.as_uri(),
        "HistoryUrl": f"sqlite:///{tmp_path}/history.db",
    }
    proxy = device_server(*CONTROLLER, properties)
    told = Told()
    proxy.subscribe_event("procedureChanged", tango.EventType.CHANGE_EVENT, told.on_event)

    def until(number: int, state: str) -> None:
        with told.ended:
            assert told.ended.wait_for(lambda: told.states.get(number) == state, DEADLINE)

    arguments = {"main": {"kwargs": {"subarray_id": 1}}}
    request = {
        "script": {"script_type": "filesystem", "script_uri": script.as_uri()},
        "script_args": arguments,
    }
    proxy.CreateProcedure(json.dumps(request))
    until(1, "READY")
    proxy.StartProcedure(json.dumps({"procedure_id": 1}))
    until(1, "RUNNING")
    proxy.StopProcedure(json.dumps({"procedure_id": 1, "run_abort": True}))
    until(2, "RUNNING")
    device_server.of(proxy).process.kill()
    device_server.of(proxy).stop()
    with OETClient(address_of(device_server(*CONTROLLER, properties))) as client:
        ended = ended_with_the_controller(client.describe(1), client.list(), run_abort=True)
    assert ended.detail["state"] == "STOPPED"
    assert ended.detail["abort"] == {
        "procedure_id": 2,
        "state": "FAILED",
        "message": "cut off: the controller was lost while procedure 2, which aborts, was RUNNING",
    }


def address_of(proxy: tango.DeviceProxy) -> str:
    return f"tango://{proxy.get_dev_host()}:{proxy.get_dev_port()}/{proxy.dev_name()}#dbase=no"
