from __future__ import annotations

import pytest

from ska_oso_oet.ska import control_model
from ska_oso_oet.ska.control_model import AdminMode, CommunicationStatus, HealthState, PowerState
from ska_oso_oet.ska.device_model import DeviceModel, refusal_to_switch
from ska_oso_oet.ska.state_machines import StateModelError

ESTABLISHED = CommunicationStatus.ESTABLISHED


class Bench:
    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.model = DeviceModel(
            lambda state, status: self.told.append((state, status)),
            lambda name, value: self.told.append((name, value)),
        )

    def clear(self) -> list[tuple[str, object]]:
        told, self.told[:] = list(self.told), []
        return told

    def states(self) -> list[str]:
        return [name for name, _ in self.clear()]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.model.begin()
    bench.model.ready()
    return bench


@pytest.fixture
def online(bench: Bench) -> Bench:
    assert bench.model.change_admin_mode(AdminMode.ONLINE)
    bench.model.report_communication(CommunicationStatus.NOT_ESTABLISHED)
    bench.model.report_communication(ESTABLISHED)
    return bench


def test_an_initialisation_tells_every_initial_value(bench: Bench) -> None:
    assert bench.clear() == [
        ("adminMode", AdminMode.OFFLINE),
        ("INIT", "The device is in INIT state."),
        ("healthState", HealthState.UNKNOWN),
        *(("controlMode", 0), ("simulationMode", 0), ("testMode", 0)),
        ("DISABLE", "The device is in DISABLE state."),
    ]


def test_the_order_of_going_online_and_back_is_that_of_the_contract(online: Bench) -> None:
    assert online.states()[-3:] == ["adminMode", "UNKNOWN", "ON"]
    assert online.model.change_admin_mode(AdminMode.ENGINEERING) is None
    assert online.clear() == [("adminMode", AdminMode.ENGINEERING)]
    assert online.model.change_admin_mode(AdminMode.ENGINEERING) is None
    assert online.clear() == []
    assert online.model.change_admin_mode(AdminMode.OFFLINE) is False
    online.model.disconnected()
    assert online.states() == ["adminMode", "DISABLE"]


def test_a_forbidden_mode_tells_nothing(online: Bench) -> None:
    online.clear()
    with pytest.raises(StateModelError):
        online.model.change_admin_mode(AdminMode.RESERVED)
    assert online.clear() == []


def test_late_reports_do_not_bring_an_offline_device_on(online: Bench) -> None:
    online.model.change_admin_mode(AdminMode.OFFLINE)
    online.model.disconnected()
    online.clear()
    online.model.report_communication(ESTABLISHED)
    online.model.report_power(PowerState.ON)
    online.model.report_fault("late")
    online.model.clear_fault()
    assert online.clear() == []
    assert online.model.state == "DISABLE"


@pytest.mark.parametrize(
    ("power", "state"),
    [
        (PowerState.UNKNOWN, "UNKNOWN"),
        (PowerState.NO_SUPPLY, "OFF"),
        (PowerState.OFF, "OFF"),
        (PowerState.STANDBY, "STANDBY"),
        (PowerState.ON, "ON"),
    ],
)
def test_every_power_has_its_state(online: Bench, power: PowerState, state: str) -> None:
    online.model.report_power(power)
    assert online.model.state == state


def test_a_fault_says_why_and_gives_the_power_back(online: Bench) -> None:
    online.clear()
    online.model.report_fault("port 5000 is taken")
    online.model.report_fault("port 5000 is taken")
    online.model.report_fault("disk full")
    online.model.clear_fault()
    assert online.clear() == [
        ("FAULT", "The device is in FAULT state - port 5000 is taken."),
        ("FAULT", "The device is in FAULT state - disk full."),
        ("ON", "The device is in ON state."),
    ]


def test_a_fault_before_communication_is_a_fault(bench: Bench) -> None:
    bench.model.change_admin_mode(AdminMode.ONLINE)
    bench.model.report_fault("no database")
    assert bench.model.state == "FAULT"


def test_only_another_initialisation_ends_a_failed_one() -> None:
    bench = Bench()
    bench.model.begin()
    bench.model.failed("no such directory")
    assert bench.clear()[-1] == (
        "FAULT",
        "The device is in FAULT state - init_device failed: no such directory.",
    )
    assert bench.model.change_admin_mode(AdminMode.ONLINE) is None
    bench.model.report_communication(ESTABLISHED)
    bench.model.clear_fault()
    assert bench.clear() == [("adminMode", AdminMode.ONLINE)]
    assert bench.model.state == "FAULT"


def test_a_closed_model_ignores_reports_and_modes(online: Bench) -> None:
    assert online.model.close() is True
    assert online.model.close() is False
    online.clear()
    online.model.report_power(PowerState.OFF)
    assert online.model.change_admin_mode(AdminMode.OFFLINE) is None
    assert online.clear() == []


def test_modes_and_health_are_told(bench: Bench) -> None:
    bench.clear()
    bench.model.set_mode("testMode", control_model.TestMode.TEST)
    bench.model.set_health(HealthState.OK)
    bench.model.set_health(HealthState.OK)
    assert bench.clear() == [("testMode", control_model.TestMode.TEST), ("healthState", HealthState.OK)]


@pytest.mark.parametrize(
    ("target", "state", "refusal"),
    [
        ("ON", "ON", "Device is already in ON state."),
        ("OFF", "OFF", "Device is already in OFF state."),
        ("STANDBY", "STANDBY", "Device is already in STANDBY state."),
        ("ON", "ALARM", "Device is in ALARM state, which is already a substate of ON."),
        ("OFF", "ALARM", None),
        ("ON", "OFF", None),
    ],
)
def test_switching_to_where_it_is_is_refused(target: str, state: str, refusal: str | None) -> None:
    assert refusal_to_switch(target, state) == refusal
