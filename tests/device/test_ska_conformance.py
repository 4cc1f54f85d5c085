"""Compares running devices with what ska-tango-base 1.3.2 was seen to be, in data/ska-base-contract.json.

Where our devices differ, the difference is in one of the tables of exemptions with its reason.
"""

from __future__ import annotations

import json
import queue
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tango
from tango import DevState, EventType

from ska_oso_oet.ska import _control_model as own_control_model
from ska_oso_oet.ska import control_model
from ska_oso_oet.ska.base_device import SKABaseDevice
from ska_oso_oet.ska.lrc_record import CommandLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.device.conftest import DeviceServers

HERE = Path(__file__).parent
CONTRACT: dict[str, Any] = json.loads((HERE / "data" / "ska-base-contract.json").read_text())
BASE = CONTRACT["SKABaseDevice"]
DEADLINE = 60.0

EXEMPT_ATTRIBUTE_FIELDS = {
    "description": "our own words",
    "initial_value of buildState": "it names our package",
    "initial_value of versionId": "the version is that of our package",
    "max_dim_x of the lists of commands": "a device has limits of its own, by the same rule",
    "subscribe_* of attributes without events": "ours has events on every attribute: event configuration "
    "tools of the observatory report an error for each that has not",
}
EXEMPT_COMMANDS = {
    "ExecutePendingOperations": "internal to ska-tango-base: there a poll of 100 ms sends what is pending, "
    "here the event pump sends it at once",
}
ADDED_COMMANDS = {
    "GetCommandResult": "how a command has ended, also when it has left lrcFinished: a client that is slow, "
    "or was away, cannot find out otherwise",
}
EXEMPT_COMMAND_FIELDS = {
    "in_type_desc, out_type_desc": "made of docstrings there; our own words here",
}
EXEMPT_VERSION_KEYS = {
    "ska_tango_base, ska_control_model": "a client must not be told of packages that are not running",
}
EXEMPT_BEHAVIOUR = {
    "Status after a failed init_device": "goes on with the reason after `init_device failed`",
    "submitted_time": "listed in lrcQueue, lrcExecuting and lrcFinished, as documented",
    "events of controlMode, simulationMode, testMode": "pushed when written",
}

# The last of each is the LIMITS of the class.
DEVICES = [
    pytest.param((HERE / "ska_test_device.py", "SkaTestDevice", CommandLimits()), id="SkaTestDevice"),
    pytest.param(
        ("ska_oso_oet.device.controller", "OETController", CommandLimits(32, 32)), id="OETController"
    ),
    pytest.param(("ska_oso_oet.device.rest_adapter", "OETRestAdapter", CommandLimits()), id="OETRestAdapter"),
]


class Events:
    """The events of some attributes of a device, in the order of their arrival."""

    def __init__(self, device: tango.DeviceProxy, *names: str) -> None:
        self._device = device
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._ids = [self._subscribe(name) for name in names]
        for _ in names:
            self._queue.get(timeout=DEADLINE)

    def _subscribe(self, name: str) -> int:
        def received(event: tango.EventData) -> None:
            self._queue.put((name, event.errors if event.err else event.attr_value.value))

        return int(self._device.subscribe_event(name, EventType.CHANGE_EVENT, received))

    def clear(self) -> None:
        while not self._queue.empty():
            self._queue.get()

    def until(self, last: Callable[[str, Any], bool]) -> list[tuple[str, Any]]:
        """Answer the events up to the first for which `last` holds."""
        events = []
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                events.append(self._queue.get(timeout=max(deadline - time.monotonic(), 0)))
            except queue.Empty:
                pytest.fail(f"the last event has not arrived after {events}")
            if last(*events[-1]):
                return events

    def close(self) -> None:
        for each in self._ids:
            self._device.unsubscribe_event(each)


@pytest.fixture(params=DEVICES)
def running(
    request: pytest.FixtureRequest, device_server: DeviceServers
) -> tuple[tango.DeviceProxy, CommandLimits]:
    source, class_name, limits = request.param
    return device_server(source, class_name, env={"OET_REST_PORT": "0"}), limits


@pytest.fixture
def device(running: tuple[tango.DeviceProxy, CommandLimits]) -> tango.DeviceProxy:
    return running[0]


@pytest.fixture
def subscribe(
    device: tango.DeviceProxy, event_channel: Callable[[tango.DeviceProxy], None]
) -> Iterator[Callable[..., Events]]:
    opened: list[Events] = []

    def open_events(*names: str) -> Events:
        opened.append(Events(device, *names))
        event_channel(device)
        opened[-1].clear()
        return opened[-1]

    yield open_events
    for each in opened:
        each.close()


def plain(value: Any) -> Any:
    """A value as the contract writes it."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, list | tuple) else int(value)


def described(device: tango.DeviceProxy, name: str) -> dict[str, Any]:
    """An attribute of a running device in the words of the contract."""
    config = device.get_attribute_config_ex(name)[0]
    reading = device.read_attribute(name)
    same = (
        *("name", "max_dim_x", "max_dim_y", "writable_attr_name", "unit", "standard_unit", "display_unit"),
        *("label", "min_value", "max_value", "min_alarm", "max_alarm", "root_attr_name"),
    )
    return {field: getattr(config, field) for field in same} | {
        "data_type": str(tango.CmdArgType.values[config.data_type]),
        "format": str(config.data_format),
        "writable": "READ_WRITE" if config.writable == tango.AttrWriteType.READ_WRITE else "READ",
        "enum_labels": list(config.enum_labels),
        "display_format": config.format,
        "disp_level": str(config.disp_level),
        "memorized": str(config.memorized),
        "polled": device.is_attribute_polled(name),
        "initial_value": plain(reading.value),
        "initial_w_value": plain(reading.w_value) if config.writable != tango.AttrWriteType.READ else None,
        "initial_quality": str(reading.quality),
        "is_empty": reading.is_empty,
    }


def test_every_attribute_is_that_of_the_contract(running: tuple[tango.DeviceProxy, CommandLimits]) -> None:
    device, limits = running
    assert set(BASE["attributes"]) <= set(device.get_attribute_list())
    differences = {}
    for name, contract in BASE["attributes"].items():
        expected = {**contract, "max_dim_x": limits.sizes.get(name, contract["max_dim_x"])}
        if name in {"buildState", "versionId"}:
            expected["initial_value"] = device.read_attribute(name).value
        for field, found in described(device, name).items():
            if found != expected[field]:
                differences[f"{name}.{field}"] = (found, expected[field])
    assert differences == {}


def test_the_sizes_of_the_contract_follow_from_its_limits() -> None:
    assert {name: BASE["attributes"][name]["max_dim_x"] for name in CommandLimits().sizes} == CommandLimits(
        32, 2
    ).sizes


def test_every_attribute_has_change_archive_and_alarm_events(device: tango.DeviceProxy) -> None:
    refused = {}
    for kind in (EventType.CHANGE_EVENT, EventType.ARCHIVE_EVENT, EventType.ALARM_EVENT):
        for name in device.get_attribute_list():
            received: queue.Queue[tango.EventData] = queue.Queue()
            try:
                subscription = device.subscribe_event(name, kind, received.put)
            except tango.DevFailed as error:
                refused[f"{kind} of {name}"] = error.args[0].reason
                continue
            event = received.get(timeout=DEADLINE)
            assert not event.err, event
            assert plain(event.attr_value.value) == plain(device.read_attribute(name).value)
            device.unsubscribe_event(subscription)
    # _lrcEvent is a stream, not a value: as in the contract, it has change events only.
    assert refused == {"ARCHIVE_EVENT of _lrcEvent": "API_AttributePollingNotStarted"}


def test_every_command_is_that_of_the_contract(device: tango.DeviceProxy) -> None:
    found = {info.cmd_name: info for info in device.command_list_query()}
    assert set(BASE["commands"]) - set(found) == set(EXEMPT_COMMANDS)
    differences: dict[str, Any] = {}
    for name, expected in BASE["commands"].items():
        if name in EXEMPT_COMMANDS:
            continue
        info = found[name]
        ours = {
            "in_type": str(tango.CmdArgType.values[info.in_type]),
            "out_type": str(tango.CmdArgType.values[info.out_type]),
            "disp_level": str(info.disp_level),
            "polled": device.is_command_polled(name),
        }
        differences |= {
            f"{name}.{field}": (value, expected[field])
            for field, value in ours.items()
            if value != expected[field]
        }
    assert differences == {}


def test_what_is_added_to_the_commands_of_the_contract_has_a_reason() -> None:
    ours = {name for name, member in vars(SKABaseDevice).items() if hasattr(member, "__tango_command__")}
    assert ours - set(BASE["commands"]) == set(ADDED_COMMANDS)


def test_every_property_is_that_of_the_contract(device: tango.DeviceProxy) -> None:
    name = "/".join(device.adm_name().split("#")[0].split("/")[-3:])
    admin = tango.DeviceProxy(f"tango://127.0.0.1:{device.get_dev_port()}/{name}#dbase=no")
    answer = admin.QueryWizardDevProperty(device.info().dev_class)
    found = dict(zip(answer[::3], answer[2::3], strict=True))
    for name, expected in BASE["properties"].items():
        default = expected["default"]
        assert found[name] == ("\n".join(default) if isinstance(default, list) else str(default))


def test_the_versions_are_those_of_our_package(device: tango.DeviceProxy) -> None:
    package, version, description = device.buildState.split(", ", 2)
    assert (package, version) == ("ska_oso_oet", device.versionId)
    assert description
    class_name = device.info().dev_class
    assert list(device.GetVersionInfo()) == [f"{class_name}, {device.buildState}"]
    assert device.info().version_info["ska_oso_oet"] == device.versionId
    assert set(BASE["info"]["version_info"]) - set(device.info().version_info) == {
        *("ska_tango_base", "ska_control_model")
    }


@pytest.mark.parametrize("source", [control_model, own_control_model], ids=["in use", "our own"])
def test_the_enumerations_are_those_of_the_contract(source: Any) -> None:
    found = {name: {item.name: item.value for item in getattr(source, name)} for name in CONTRACT["enums"]}
    assert found == CONTRACT["enums"]


# ---------------------------------------------------------------- behaviour

STATES = ("adminMode", "State", "Status")


def status(state: str) -> tuple[str, str]:
    return "Status", f"The device is in {state} state."


def test_modes_change_the_state_in_the_order_of_the_contract(
    device: tango.DeviceProxy, subscribe: Callable[..., Events]
) -> None:
    events = subscribe(*STATES)
    device.adminMode = 0
    assert events.until(lambda *event: event == status("ON")) == [
        *(("adminMode", 0), ("State", DevState.UNKNOWN), status("UNKNOWN")),
        *(("State", DevState.ON), status("ON")),
    ]
    device.adminMode = 0
    device.adminMode = "ENGINEERING"
    device.adminMode = 1
    assert events.until(lambda *event: event == status("DISABLE")) == [
        *(("adminMode", 2), ("adminMode", 1), ("State", DevState.DISABLE), status("DISABLE"))
    ]
    device.adminMode = 4
    device.adminMode = 3
    with pytest.raises(tango.DevFailed) as refusal:
        device.adminMode = 0
    assert refusal.value.args[0].reason == "PyDs_PythonError"
    assert (
        refusal.value.args[0]
        .desc.strip()
        .endswith("StateModelError: Action to_online is not allowed in admin mode <AdminMode.NOT_FITTED: 3>.")
    )
    with pytest.raises(tango.DevFailed) as refusal:
        device.adminMode = 5
    assert refusal.value.args[0].reason == "API_WAttrOutsideLimit"
    device.adminMode = 1
    assert events.until(lambda *event: event == ("adminMode", 1)) == [
        *(("adminMode", 4), ("adminMode", 3), ("adminMode", 1))
    ]


def test_init_goes_through_every_state_and_restores_the_memorised_mode(
    device: tango.DeviceProxy, subscribe: Callable[..., Events]
) -> None:
    device.adminMode = 0
    device.loggingLevel = 5
    device.loggingTargets = []
    events = subscribe(*STATES)
    device.Init()
    assert events.until(lambda *event: event == status("ON")) == [
        *(("adminMode", 1), ("State", DevState.INIT), status("INIT")),
        *(("State", DevState.DISABLE), status("DISABLE")),
        *(("adminMode", 0), ("State", DevState.UNKNOWN), status("UNKNOWN")),
        *(("State", DevState.ON), status("ON")),
    ]
    assert (device.loggingLevel, device.loggingTargets) == (4, ("tango::logger",))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(("controlMode", 1, 1), ("simulationMode", 1, 1), ("testMode", 1, 1), ("loggingLevel", 5, 5)),
        ("loggingTargets", ["console", "file"], None),
    ],
)
def test_what_is_written_is_told(
    device: tango.DeviceProxy, subscribe: Callable[..., Events], name: str, value: Any, expected: Any
) -> None:
    events = subscribe(name)
    device.write_attribute(name, value)
    [(_, told)] = events.until(lambda *_: True)
    assert plain(told) == plain(device.read_attribute(name).value)
    if expected is not None:
        assert told == expected


@pytest.mark.parametrize("targets", [["printer"], ["syslog"], ["syslog::tcp://127.0.0.1:1"]])
def test_a_bad_logging_target_changes_nothing(device: tango.DeviceProxy, targets: list[str]) -> None:
    with pytest.raises(tango.DevFailed) as refusal:
        device.loggingTargets = targets
    assert refusal.value.args[0].reason == "PyDs_PythonError"
    assert "LoggingTargetError" in refusal.value.args[0].desc
    assert device.loggingTargets == ("tango::logger",)
    with pytest.raises(tango.DevFailed) as refusal:
        device.loggingLevel = 6
    assert refusal.value.args[0].reason == "API_WAttrOutsideLimit"


NOT_ALLOWED = {
    DevState.DISABLE: ("On", "Off", "Standby", "Reset"),
    DevState.OFF: ("Reset",),
    DevState.FAULT: ("On", "Standby"),
}


def test_commands_are_allowed_where_the_contract_allows_them(
    device: tango.DeviceProxy, event_channel: Callable[[tango.DeviceProxy], None]
) -> None:
    states = Events(device, "State")
    event_channel(device)

    def refused(state: DevState) -> None:
        assert device.state() == state
        for name in NOT_ALLOWED[state]:
            with pytest.raises(tango.DevFailed) as refusal:
                device.command_inout(name)
            assert refusal.value.args[0].reason == "API_CommandNotAllowed"
            assert (
                f"Command {name} not allowed when the device is in {state} state"
                in refusal.value.args[0].desc
            )

    refused(DevState.DISABLE)
    for name in ("Abort", "AbortCommands", "GetVersionInfo"):
        device.command_inout(name)
    assert device.CheckLongRunningCommandStatus("") == "NOT_FOUND"
    assert json.loads(device.GetCommandResult("")) == {
        "status": "NOT_FOUND",
        "result": None,
        "progress": None,
    }
    device.adminMode = 0
    device.Off()
    # A device may need a moment to bring its component there.
    states.until(lambda _, state: state == DevState.OFF)
    states.close()
    refused(DevState.OFF)
    assert answer(device.Off()) == (5, "Device is already in OFF state.")


def answer(reply: Any) -> tuple[int, str]:
    [[code], [text]] = reply
    return int(code), text


LRC_EVENTS = ("_lrcEvent", "commandedState", *CommandLimits().sizes)


def test_a_command_is_told_in_the_order_of_the_contract(
    device: tango.DeviceProxy, subscribe: Callable[..., Events]
) -> None:
    device.adminMode = 0
    assert answer(device.On()) == (5, "Device is already in ON state.")
    assert device.commandedState == "None"
    events = subscribe(*LRC_EVENTS)
    code, uid = answer(device.Standby())
    assert code == 1
    assert uid.split("_")[2:] == ["Standby"]
    told = events.until(lambda name, _: name == "lrcFinished")
    assert [name for name, _ in told] == [
        *("longRunningCommandsInQueue", "longRunningCommandIDsInQueue", "longRunningCommandStatus"),
        "_lrcEvent",
        *("longRunningCommandStatus", "longRunningCommandInProgress", "commandedState", "_lrcEvent"),
        "lrcExecuting",
        *("longRunningCommandResult", "longRunningCommandStatus", "longRunningCommandInProgress"),
        *("_lrcEvent", "lrcExecuting", "lrcFinished"),
    ]
    updates = [(value[0], json.loads(value[1])) for name, value in told if name == "_lrcEvent"]
    result = updates[-1][1]["result"]
    assert updates == [(uid, {"status": 0}), (uid, {"status": 2}), (uid, {"status": 5, "result": result})]
    assert result[0] == 0
    assert device.state() == DevState.STANDBY
    assert device.commandedState == "STANDBY"
    assert device.longRunningCommandResult == (uid, json.dumps(result))
    [finished] = map(json.loads, device.lrcFinished)
    assert set(finished) == {
        *("uid", "name", "status", "submitted_time", "started_time", "finished_time", "result")
    }
    assert (finished["uid"], finished["name"], finished["status"]) == (uid, "Standby", "COMPLETED")
    assert device.CheckLongRunningCommandStatus(uid) == "COMPLETED"
    assert json.loads(device.GetCommandResult(uid)) == {
        "status": "COMPLETED",
        "result": result,
        "progress": None,
    }


def test_an_idle_abort_completes_at_once(device: tango.DeviceProxy, subscribe: Callable[..., Events]) -> None:
    events = subscribe("_lrcEvent")
    code, uid = answer(device.Abort())
    assert code == 1
    told = events.until(lambda _, value: "result" in json.loads(value[1]))
    assert [json.loads(value[1]) for _, value in told] == [
        *({"status": 0}, {"status": 2}, {"status": 5, "result": [0, "Abort completed OK"]})
    ]
    assert uid.endswith("_Abort")
    assert answer(device.AbortCommands()) == (1, "Aborting commands")
