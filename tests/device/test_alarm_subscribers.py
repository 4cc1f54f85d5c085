"""A client that subscribes to alarm events and leaves takes no other client's events away."""

from __future__ import annotations

import json
import queue
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import tango
from tango import EventType

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.device.conftest import DeviceServers

DEADLINE = 60.0
COUNTED = (EventType.CHANGE_EVENT, EventType.ARCHIVE_EVENT)
VARYING = {
    "procedures": "told at most ten times a second",
    "runningProcedures": "told as they are when the event leaves, and then only if they have changed",
    "lastEventSeq": "told at most ten times a second",
    "event": "told once more after a silence",
    "simulationMode": "written until events arrive",
    "healthState": "told when a probe has found out",
    "healthInfo": "told when a probe has found out",
    "whyNotReady": "told when a probe has found out",
}
SCRIPT = "def init(subarray_id=None):\n    pass\n\ndef main():\n    pass\n"

Seen = Counter[tuple[EventType, str]]


class Listener:
    """Everything that one client hears of a device."""

    def __init__(self, device: tango.DeviceProxy) -> None:
        self.heard: queue.Queue[tuple[EventType, str, Any]] = queue.Queue()
        for kind in COUNTED:
            for name in device.get_attribute_list():
                if (kind, name) != (EventType.ARCHIVE_EVENT, "_lrcEvent"):
                    device.subscribe_event(name, kind, self._taker(kind, name))

    def _taker(self, kind: EventType, name: str) -> Callable[[tango.EventData], None]:
        def take(event: tango.EventData) -> None:
            self.heard.put((kind, name, None if event.err else event.attr_value.value))

        return take

    def until(self, last: Callable[[EventType, str, Any], bool]) -> Seen:
        seen: Seen = Counter()
        while True:
            try:
                kind, name, value = self.heard.get(timeout=DEADLINE)
            except queue.Empty:
                pytest.fail(f"the last event has not arrived after {sorted(map(str, seen.items()))}")
            seen[kind, name] += 1
            if last(kind, name, value):
                return seen


def alarms_come_and_go(device: tango.DeviceProxy) -> None:
    for name in device.get_attribute_list():
        first: queue.Queue[tango.EventData] = queue.Queue()
        subscription = device.subscribe_event(name, EventType.ALARM_EVENT, first.put)
        assert not first.get(timeout=DEADLINE).err
        device.unsubscribe_event(subscription)


def is_last_of_command(kind: EventType, name: str, value: Any) -> bool:
    del value
    return (kind, name) == (COUNTED[-1], "lrcFinished")


def is_last_of_write(attribute: str, written: int) -> Callable[[EventType, str, Any], bool]:
    return lambda kind, name, value: (kind, name, value) == (COUNTED[-1], attribute, written)


def run_a_script(device: tango.DeviceProxy, listener: Listener, uri: str) -> Seen:
    script = {"script": {"script_type": "filesystem", "script_uri": uri}}
    device.CreateProcedure(json.dumps(script))
    seen = listener.until(is_last_of_command)
    device.StartProcedure("{}")
    return seen + listener.until(is_last_of_command)


def heard_in_a_run(device: tango.DeviceProxy, event_channel: Callable[..., None], uri: str) -> Seen:
    listener = Listener(device)
    event_channel(device)
    device.controlMode = 1
    listener.until(is_last_of_write("controlMode", 1))
    device.adminMode = 0
    seen = listener.until(is_last_of_write("adminMode", 0))
    if device.info().dev_class == "OETController":
        seen += run_a_script(device, listener, uri)
    device.Standby()
    seen += listener.until(is_last_of_command)
    device.loggingLevel = 5
    device.loggingTargets = []
    device.controlMode = 0
    return seen + listener.until(is_last_of_write("controlMode", 0))


@pytest.mark.parametrize(
    ("source", "class_name"),
    [
        ("ska_oso_oet.device.controller", "OETController"),
        ("ska_oso_oet.device.rest_adapter", "OETRestAdapter"),
    ],
)
def test_an_alarm_subscriber_that_has_left_costs_nobody_an_event(
    device_server: DeviceServers,
    event_channel: Callable[[tango.DeviceProxy], None],
    tmp_path: Path,
    source: str,
    class_name: str,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    told = []
    for alarms in (False, True):
        device = device_server(source, class_name, {"ScriptRoots": str(tmp_path)}, env={"OET_REST_PORT": "0"})
        if alarms:
            alarms_come_and_go(device)
        told.append(heard_in_a_run(device, event_channel, script.as_uri()))
    fresh, alarmed = told
    if class_name == "OETController":
        sure = {(kind, name) for kind in COUNTED for name in ("procedures", "event", "lastEventSeq")}
        assert sure <= set(fresh) & set(alarmed)
    counted = [{key: number for key, number in seen.items() if key[1] not in VARYING} for seen in told]
    assert counted[0] == counted[1]
    assert fresh[EventType.CHANGE_EVENT, "_lrcEvent"] > 0
    assert fresh[EventType.CHANGE_EVENT, "lrcFinished"] == fresh[EventType.ARCHIVE_EVENT, "lrcFinished"] > 0
