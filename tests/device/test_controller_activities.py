"""RunActivity and what the controller tells of activities, as a Tango client sees it."""

from __future__ import annotations

import json
import os
import queue
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.oda import OdaSettings, SBDefinition, open_oda

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
DEADLINE = 60.0
OK, STARTED, FAILED, ABORTED = 0, 1, 3, 7

SCRIPT = """
import time
from pubsub import pub

def init(subarray_id=1, fault=None):
    if fault:
        raise ValueError(fault)

def main(sb_json, sbi_id, wait=0.0, fault=None):
    pub.sendMessage("procedure.progress", msg_src="script", progress=50, message="half way")
    time.sleep(wait)
    if fault:
        raise ValueError(fault)
"""
SLOW = "import time\n\ndef init():\n    time.sleep(60)\n\ndef main(sb_json, sbi_id):\n    pass\n"
SBD = {
    "interface": "https://schema.skao.int/ska-oso-pdm-sbd/0.1",
    "sbd_id": "sbd-123",
    "telescope": "ska_mid",
    "activities": {
        "observe": {
            "kind": "inline",
            "content": SCRIPT,
            "function_args": {"init": {"args": [], "kwargs": {"subarray_id": 4}}},
        },
        "slow": {"kind": "inline", "content": SLOW},
    },
}


class Controller:
    """A running controller, with queues of what it says of activities and of commands."""

    def __init__(self, proxy: tango.DeviceProxy) -> None:
        self.proxy = proxy
        self.changes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.snapshots: queue.Queue[dict[str, Any]] = queue.Queue()
        self.results: queue.Queue[list[str]] = queue.Queue()
        self.progress: queue.Queue[list[str]] = queue.Queue()
        self._subscribe("activityChanged", lambda value: self.changes.put(json.loads(value)))
        self._subscribe("activities", lambda value: self.snapshots.put(json.loads(value)))
        self._subscribe("longRunningCommandResult", lambda value: self.results.put(list(value)))
        self._subscribe("longRunningCommandProgress", lambda value: self.progress.put(list(value)))

    def _subscribe(self, name: str, take: Callable[[Any], None]) -> None:
        def on_event(event: tango.EventData) -> None:
            if not event.err and event.attr_value.value is not None:
                take(event.attr_value.value)

        self.proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, on_event)

    def command(self, name: str, **argument: Any) -> tuple[int, str]:
        [[code], [text]] = self.proxy.command_inout(name, json.dumps(argument))
        return int(code), text

    def run(self, name: str = "observe", sbd_id: str = "sbd-123", **options: Any) -> tuple[int, str]:
        """Answer the id of a new activity and of the command that made it."""
        code, command_id = self.command("RunActivity", activity_name=name, sbd_id=sbd_id, **options)
        assert code == STARTED, command_id
        listed = json.loads(self.proxy.activities)["activities"]
        return next(a["id"] for a in listed if a["command_id"] == command_id), command_id

    def until(self, activity_id: int, *states: str) -> dict[str, Any]:
        while True:
            activity: dict[str, Any] = self.changes.get(timeout=DEADLINE).get("activity", {})
            if activity.get("id") == activity_id:
                if activity["state"] in states:
                    return activity
                assert activity["state"] in {"REQUESTED", "PREPARED", "RUNNING"}, activity

    def result_of(self, command_id: str) -> tuple[int, dict[str, Any]]:
        while True:
            identifier, text = self.results.get(timeout=DEADLINE)
            if identifier == command_id:
                code, content = json.loads(text)
                return code, json.loads(content)

    def progress_of(self, command_id: str) -> list[int]:
        """What has been told so far of the progress of a command, each value once."""
        told: list[int] = []
        while not self.progress.empty():
            pairs = self.progress.get_nowait()
            for identifier, text in zip(pairs[::2], pairs[1::2], strict=True):
                if identifier == command_id and int(text) not in told[-1:]:
                    told.append(int(text))
        return told


@pytest.fixture
def controller(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> Controller:
    open_oda(OdaSettings(data_dir=tmp_path / "oda")).add_sbd(SBDefinition.parse(SBD), "an operator")
    properties = {
        "adminMode/__value": 0,
        "EnvironmentsDir": str(tmp_path / "environments"),
        "EmbeddedScripts": "allowed",
        "OdaDataDir": str(tmp_path / "oda"),
        "AbortScript": (tmp_path / "abort.py").as_uri(),
    }
    proxy = device_server(*CONTROLLER, properties, env={"SKA_TELESCOPE": "skamid"})
    running = Controller(proxy)
    event_channel(proxy)
    return running


def test_an_activity_from_its_request_to_its_end(controller: Controller) -> None:
    activity_id, command_id = controller.run()
    ended = controller.until(activity_id, "COMPLETE", "FAILED", "STOPPED")
    assert [state for state, _ in ended["activity_states"]] == [
        "REQUESTED",
        "PREPARED",
        "RUNNING",
        "COMPLETE",
    ]
    assert (ended["sbd_version"], ended["message"], ended["command_id"]) == (1, None, command_id)
    assert ended["script_args"]["init"]["kwargs"] == {"subarray_id": 4}
    assert ended["script_args"]["main"]["kwargs"]["sbi_id"] == ended["sbi_id"]
    code, content = controller.result_of(command_id)
    expected = {"activity_id": activity_id, "procedure_id": ended["procedure_id"], "state": "COMPLETE"}
    assert (code, content) == (OK, expected)
    assert json.loads(controller.proxy.DescribeActivity(0)) == ended
    procedure = json.loads(controller.proxy.DescribeProcedure(ended["procedure_id"]))
    assert (procedure["command_id"], procedure["subarray_id"]) == (command_id, 4)
    assert procedure["requester"] == ended["requester"]
    assert ended["requester"].endswith(f"pid {os.getpid()}")
    while (snapshot := controller.snapshots.get(timeout=DEADLINE))["activities"] != [ended]:
        pass
    assert snapshot["seq"] > 0


def test_the_progress_of_the_command_grows_with_its_subtasks_and_the_script(controller: Controller) -> None:
    _, command_id = controller.run()
    assert controller.result_of(command_id)[0] == OK
    told = controller.progress_of(command_id)
    assert told == sorted(told)
    # create and init are two thirds, half of main is half of the last one
    assert any(80 <= percent <= 85 for percent in told), told


def test_a_script_that_raises_is_the_result_of_the_command(controller: Controller) -> None:
    for function, states in (
        ("init", ["REQUESTED", "FAILED"]),
        ("main", ["REQUESTED", "PREPARED", "RUNNING"]),
    ):
        script_args = {function: {"kwargs": {"fault": f"no dish in {function}"}}}
        activity_id, command_id = controller.run(script_args=script_args)
        failed = controller.until(activity_id, "FAILED")
        assert [state for state, _ in failed["activity_states"]][: len(states)] == states
        code, content = controller.result_of(command_id)
        assert (code, content["state"]) == (FAILED, "FAILED")
        assert content["message"] == failed["message"] == f"ValueError: no dish in {function}"
        assert controller.proxy.CheckLongRunningCommandStatus(command_id) == "COMPLETED"


def test_what_the_oda_does_not_have_is_the_result_of_the_command(controller: Controller) -> None:
    for name, sbd_id, options, reason in (
        ("observe", "sbd-none", {}, "the ODA has no SBDefinition sbd-none"),
        ("observe", "sbd-123", {"sbd_version": 2}, "sbd-123 has no version 2; the newest is 1"),
        ("fly", "sbd-123", {}, "fly"),
    ):
        activity_id, command_id = controller.run(name, sbd_id, **options)
        failed = controller.until(activity_id, "FAILED")
        code, content = controller.result_of(command_id)
        assert (code, content["procedure_id"], content["state"]) == (FAILED, None, "FAILED")
        assert reason in content["message"]
        assert content["message"] == failed["message"]
    assert json.loads(controller.proxy.procedures)["procedures"] == []


def test_prepare_only_ends_the_command_and_not_the_activity(controller: Controller) -> None:
    activity_id, command_id = controller.run(prepare_only=True)
    prepared = controller.until(activity_id, "PREPARED")
    expected = {"activity_id": activity_id, "procedure_id": prepared["procedure_id"], "state": "PREPARED"}
    assert controller.result_of(command_id) == (OK, expected)
    code, start_id = controller.command("StartProcedure", procedure_id=prepared["procedure_id"])
    assert code == STARTED
    assert controller.until(activity_id, "COMPLETE")["prepare_only"] is True
    assert controller.result_of(start_id)[0] == OK


def test_a_stop_of_the_procedure_aborts_the_command(controller: Controller) -> None:
    activity_id, command_id = controller.run(script_args={"main": {"kwargs": {"wait": 60}}})
    running = controller.until(activity_id, "RUNNING")
    controller.command("StopProcedure", procedure_id=running["procedure_id"])
    stopped = controller.until(activity_id, "STOPPED")
    code, content = controller.result_of(command_id)
    assert (code, content["state"], content["procedure_id"]) == (ABORTED, "STOPPED", running["procedure_id"])
    assert controller.proxy.CheckLongRunningCommandStatus(command_id) == "ABORTED"
    assert stopped["activity_states"][-1][0] == "STOPPED"


@pytest.mark.parametrize("name", ["observe", "slow"])
def test_abort_stops_the_activity_while_it_is_prepared_and_while_it_runs(
    controller: Controller, name: str
) -> None:
    script_args = {"main": {"kwargs": {"wait": 60}}} if name == "observe" else {}
    activity_id, command_id = controller.run(name, script_args=script_args)
    if name == "observe":
        controller.until(activity_id, "RUNNING")
    [[code], [_]] = controller.proxy.Abort()
    assert code == STARTED
    controller.until(activity_id, "STOPPED")
    code, content = controller.result_of(command_id)
    assert (code, content["state"]) == (ABORTED, "STOPPED")
    assert list(controller.proxy.runningProcedures) == []


def test_bad_requests_are_refused_and_name_what_is_wrong(controller: Controller) -> None:
    for argument, expected in (
        ("{", "Invalid JSON"),
        ("{}", "activity_name: Field required"),
        ('{"activity_name": "", "sbd_id": "x"}', "activity_name"),
        ('{"activity_name": "a", "sbd_id": 5}', "sbd_id"),
        ('{"activity_name": "a", "sbd_id": "x", "colour": 1}', "colour: Extra inputs"),
        ('{"activity_name": "a", "sbd_id": "x", "sbd_version": 0}', "sbd_version"),
        (
            '{"activity_name": "a", "sbd_id": "x", "script_args": {"init": {"args": [1]}}}',
            "only keyword arguments",
        ),
        (
            '{"activity_name": "a", "sbd_id": "x", "script_args": {"main": {"kwargs": {"sb_json": "y"}}}}',
            "main.kwargs.sb_json",
        ),
    ):
        with pytest.raises(tango.DevFailed) as caught:
            controller.proxy.RunActivity(argument)
        assert caught.value.args[0].reason == "OET_InvalidArgument"
        assert expected in caught.value.args[0].desc, argument
    for number in (0, 4711):
        with pytest.raises(tango.DevFailed) as caught:
            controller.proxy.DescribeActivity(number)
        assert caught.value.args[0].reason == "OET_NotFound"
    assert json.loads(controller.proxy.activities)["activities"] == []
    schema = json.loads(controller.proxy.GetCommandSchema("RunActivity"))
    assert set(schema["required"]) == {"activity_name", "sbd_id"}


def test_a_busy_subarray_fails_the_activity_and_names_the_holder(controller: Controller) -> None:
    first, _ = controller.run(script_args={"main": {"kwargs": {"wait": 60}}})
    holder = controller.until(first, "RUNNING")["procedure_id"]
    second, command_id = controller.run()
    failed = controller.until(second, "FAILED")
    assert f"procedure {holder}, which is RUNNING, holds subarray 4" in failed["message"]
    code, content = controller.result_of(command_id)
    assert (code, content["message"]) == (FAILED, failed["message"])
    elsewhere, _ = controller.run(script_args={"init": {"kwargs": {"subarray_id": 5}}})
    assert controller.until(elsewhere, "COMPLETE")["script_args"]["init"]["kwargs"] == {"subarray_id": 5}


def test_scheduling_blocks_and_what_was_executed_of_them(controller: Controller) -> None:
    draft = {**SBD, "sbd_id": "sbd-draft"}
    added = json.loads(controller.proxy.AddSBDefinition(json.dumps(draft)))
    assert added["oda"].startswith("directory ")
    assert (added["sbd"]["sbd_id"], added["sbd"]["metadata"]["version"]) == ("sbd-draft", 1)
    assert "pid" not in added["sbd"]["metadata"]["created_by"]
    listed = json.loads(controller.proxy.GetSBDefinitions())["sbds"]
    assert [(entry["sbd_id"], entry["version"]) for entry in listed] == [("sbd-123", 1), ("sbd-draft", 1)]
    read = json.loads(controller.proxy.GetSBDefinition('{"sbd_id": "sbd-draft"}'))
    assert read == added
    activity_id, _ = controller.run("observe", "sbd-draft")
    ended = controller.until(activity_id, "COMPLETE", "FAILED", "STOPPED")
    [entry] = json.loads(controller.proxy.GetSBInstances('{"sbd_id": "sbd-draft"}'))["sbis"]
    assert (entry["sbi_id"], entry["activities"]) == (ended["sbi_id"], ["observe"])
    sbi = json.loads(controller.proxy.GetSBInstance(json.dumps({"sbi_id": ended["sbi_id"]})))["sbi"]
    assert sbi["sbd_ref"] == "sbd-draft"
    without_id = {key: value for key, value in SBD.items() if key != "sbd_id"}
    given = json.loads(controller.proxy.AddSBDefinition(json.dumps(without_id)))["sbd"]["sbd_id"]
    assert json.loads(controller.proxy.GetSBDefinition(json.dumps({"sbd_id": given})))["sbd"]
    for command, argument, reason in (
        ("AddSBDefinition", "{}", "OET_InvalidArgument"),
        ("AddSBDefinition", json.dumps({**added["sbd"], "telescope": "ska_low"}), "OET_Rejected"),
        ("GetSBDefinition", '{"sbd_id": "sbd-none"}', "OET_NotFound"),
        ("GetSBInstance", '{"sbi_id": "sbi-none"}', "OET_NotFound"),
    ):
        with pytest.raises(tango.DevFailed) as refusal:
            controller.proxy.command_inout(command, argument)
        assert refusal.value.args[0].reason == reason
