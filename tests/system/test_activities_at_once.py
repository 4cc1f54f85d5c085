"""Activities through OETClient: one for each subarray of SKA-Mid, all at once."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.activity.domain import ActivityState
from ska_oso_oet.errors import ActivityNotFound, InvalidArgument, WaitTimeout
from ska_oso_oet.oda import OdaSettings, SBDefinition, open_oda

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

DEADLINE = 60.0
SUBARRAYS = range(1, 17)

MEETING = """
import socket

def init(subarray_id):
    global subarray
    subarray = subarray_id

def main(sb_json, sbi_id, address):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(bytes([subarray]))
        assert connection.recv(1) == b"!"
"""


@pytest.fixture
def sbd_id(stack: StackProcess) -> str:
    document = {
        "interface": "https://schema.skao.int/ska-oso-pdm-sbd/0.1",
        "sbd_id": "sbd-meeting",
        "telescope": "ska_mid",
        "activities": {"observe": {"kind": "inline", "content": MEETING}},
    }
    oda = open_oda(OdaSettings(data_dir=stack.data_dir / "oda"))
    return oda.add_sbd(SBDefinition.parse(json.dumps(document)), "an operator").sbd_id


def test_sixteen_activities_on_sixteen_subarrays_run_at_once(
    client: OETClient, sbd_id: str, tmp_path: Path
) -> None:
    address = str(tmp_path / "meeting")
    with socket.socket(socket.AF_UNIX) as meeting:
        meeting.bind(address)
        meeting.listen(len(SUBARRAYS))
        meeting.settimeout(DEADLINE)
        activities = {
            subarray: client.run_activity(
                "observe",
                sbd_id,
                script_args={
                    "init": {"kwargs": {"subarray_id": subarray}},
                    "main": {"kwargs": {"address": address}},
                },
            )
            for subarray in SUBARRAYS
        }
        guests = [meeting.accept()[0] for _ in SUBARRAYS]
    # Nobody has been answered: all of them are in their main function now.
    waiting = {guest.recv(1)[0]: guest for guest in guests}
    assert sorted(waiting) == list(SUBARRAYS)
    for activity in activities.values():
        running = client.wait_activity(activity.id, {ActivityState.RUNNING}, DEADLINE)
        assert running.state is ActivityState.RUNNING
    # In two halves, as the controller remembers the ten activities that ended last.
    for half in (SUBARRAYS[:8], SUBARRAYS[8:]):
        for subarray in half:
            waiting[subarray].sendall(b"!")
            waiting[subarray].close()
        for subarray in half:
            ended = client.wait_activity(activities[subarray].id, timeout=DEADLINE)
            assert (ended.state, ended.message) == (ActivityState.COMPLETE, None)


def test_waiting_and_refusals(client: OETClient, sbd_id: str) -> None:
    prepared = client.run_activity(
        "observe", sbd_id, prepare_only=True, script_args={"init": {"kwargs": {"subarray_id": 3}}}
    )
    ready = client.wait_activity(prepared.id, {ActivityState.PREPARED}, DEADLINE)
    assert ready.state is ActivityState.PREPARED
    assert ready.sbd_version is not None
    with pytest.raises(WaitTimeout, match=f"activity {prepared.id} is still PREPARED"):
        client.wait_activity(prepared.id, timeout=0.2)
    assert ready.procedure_id is not None
    client.stop(ready.procedure_id, run_abort=False, timeout=DEADLINE)
    stopped = client.wait_activity(prepared.id, timeout=DEADLINE)
    assert stopped.state is ActivityState.STOPPED
    assert client.refresh_activity(ready) == stopped
    assert stopped in client.list_activities()
    with pytest.raises(InvalidArgument, match="sbd_version"):
        client.run_activity("observe", sbd_id, sbd_version=0)
    with pytest.raises(ActivityNotFound, match="4711"):
        client.describe_activity(4711)
