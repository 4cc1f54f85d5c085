from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.health import (
    Component,
    ComponentSnapshot,
    HealthDiagnostics,
    HealthEvaluationPolicy,
    HealthStateModel,
)
from ska_oso_oet.health.diagnostics import NO_CRITICAL_COMPONENT, NOTHING_KNOWN
from ska_oso_oet.ska.control_model import AdminMode, HealthState

if TYPE_CHECKING:
    from collections.abc import Iterable

DEVICE = "mid-oso/oet-controller/01"
POLICY = HealthEvaluationPolicy()
FORK_SERVER = Component("fork server", weight=1)
REST = Component("mid-oso/oet-rest-adapter/01")
OK, DEGRADED, FAILED, UNKNOWN = (
    HealthState.OK,
    HealthState.DEGRADED,
    HealthState.FAILED,
    HealthState.UNKNOWN,
)


def by_name(*samples: ComponentSnapshot) -> dict[str, ComponentSnapshot]:
    return {sample.component.name: sample for sample in samples}


def messages(snapshot: dict[str, ComponentSnapshot], health: HealthState, **context: Any) -> list[str]:
    info = HealthDiagnostics().evaluate(snapshot, health, context={"device_fqdn": DEVICE, **context})
    assert list(info) == [DEVICE]
    return info[DEVICE]


# ---------------------------------------------------------------- one component
@pytest.mark.parametrize(
    ("critical", "reported", "condition", "expected"),
    [
        (True, {"health": OK}, OK, []),
        (True, {"health": OK, "message": "slow"}, OK, []),
        (True, {"state": "ON"}, OK, []),
        (True, {"state": "STANDBY", "health": OK, "admin_mode": AdminMode.ENGINEERING}, OK, []),
        (True, {"health": FAILED}, FAILED, ["x: healthState is FAILED"]),
        (True, {"health": FAILED, "message": "gone"}, FAILED, ["x: gone"]),
        (True, {"health": DEGRADED}, DEGRADED, ["x: healthState is DEGRADED"]),
        (True, {"health": UNKNOWN}, UNKNOWN, ["x: healthState is UNKNOWN"]),
        (True, {"state": "FAULT"}, FAILED, ["x: State is FAULT"]),
        (True, {"state": "ALARM", "health": OK}, DEGRADED, ["x: State is ALARM"]),
        (True, {"state": "UNKNOWN"}, UNKNOWN, ["x: State is UNKNOWN"]),
        (True, {"state": "DISABLE", "health": OK}, UNKNOWN, ["x: State is DISABLE"]),
        (False, {"state": "DISABLE", "health": OK}, OK, []),
        (
            True,
            {"state": "FAULT", "health": DEGRADED, "message": "hot"},
            FAILED,
            ["x: hot", "x: State is FAULT"],
        ),
        (True, {}, UNKNOWN, ["x: has not reported yet"]),
        (False, {}, OK, []),
        (False, {"health": FAILED}, FAILED, ["x: healthState is FAILED"]),
        (False, {"health": FAILED, "admin_mode": AdminMode.ONLINE}, FAILED, ["x: healthState is FAILED"]),
        (False, {"health": FAILED, "admin_mode": AdminMode.OFFLINE}, OK, []),
        (False, {"state": "FAULT", "admin_mode": AdminMode.NOT_FITTED}, OK, []),
        (False, {"state": "FAULT", "admin_mode": AdminMode.RESERVED}, OK, []),
        (True, {"health": OK, "admin_mode": AdminMode.OFFLINE}, UNKNOWN, ["x: adminMode is OFFLINE"]),
    ],
)
def test_condition_of_a_component(
    critical: bool,  # noqa: FBT001 - a parameter
    reported: dict[str, Any],
    condition: HealthState,
    expected: list[str],
) -> None:
    sample = ComponentSnapshot(Component("x", weight=int(critical)), **reported)

    assert sample.condition() is condition
    assert [finding.message for finding in sample.findings()] == expected


# ---------------------------------------------------------------- the whole
@pytest.mark.parametrize(
    ("critical", "other", "expected"),
    [
        (OK, OK, OK),
        (FAILED, OK, FAILED),
        (FAILED, FAILED, FAILED),
        (DEGRADED, OK, DEGRADED),
        (UNKNOWN, OK, DEGRADED),
        (OK, FAILED, DEGRADED),
        (OK, DEGRADED, DEGRADED),
        (OK, UNKNOWN, DEGRADED),
        (OK, None, OK),
        (None, OK, UNKNOWN),
        (None, None, UNKNOWN),
        (None, FAILED, DEGRADED),
    ],
)
def test_health_of_the_device(
    critical: HealthState | None, other: HealthState | None, expected: HealthState
) -> None:
    snapshot = by_name(ComponentSnapshot(FORK_SERVER, health=critical), ComponentSnapshot(REST, health=other))

    assert POLICY.evaluate(snapshot) is expected


def test_nothing_known_yet() -> None:
    assert POLICY.evaluate({}) is UNKNOWN
    assert messages({}, UNKNOWN) == [NOTHING_KNOWN]


def test_components_out_of_use_do_not_make_a_device_well() -> None:
    snapshot = by_name(ComponentSnapshot(REST, state="DISABLE", admin_mode=AdminMode.OFFLINE))

    assert POLICY.evaluate(snapshot) is UNKNOWN
    assert messages(snapshot, UNKNOWN) == [NOTHING_KNOWN]


def test_criticality_is_configurable() -> None:
    policy = HealthEvaluationPolicy({"fork server": 0, REST.name: 2})

    assert not policy.weigh(FORK_SERVER).critical
    assert policy.weigh(REST).critical
    assert policy.weigh(Component("oda", 1)).critical


# ---------------------------------------------------------------- in words
def test_messages_start_with_this_device_and_do_not_repeat() -> None:
    own = Component(DEVICE)
    snapshot = by_name(
        ComponentSnapshot(REST, health=FAILED, message="does not answer"),
        ComponentSnapshot(FORK_SERVER, health=FAILED, message="a worker could not be started: no memory"),
        ComponentSnapshot(own, health=DEGRADED, message="events are late"),
    )

    assert messages(snapshot, FAILED) == [
        f"{DEVICE}: events are late",
        "fork server: a worker could not be started: no memory",
        "mid-oso/oet-rest-adapter/01: does not answer",
    ]


def test_a_healthy_device_has_nothing_to_say() -> None:
    assert messages(by_name(ComponentSnapshot(FORK_SERVER, health=OK)), OK) == []


def test_without_a_device_there_is_no_answer() -> None:
    assert HealthDiagnostics().evaluate({}, FAILED) == {}
    assert HealthDiagnostics().evaluate({}, FAILED, context={"device_fqdn": ""}) == {}


def test_reasons_of_this_device_come_first() -> None:
    snapshot = by_name(ComponentSnapshot(FORK_SERVER, health=FAILED, message="gone"))

    forced = {"faulty": True, "fault_reason": "bad property", "disabled": True, "disabled_reason": "offline"}
    assert messages(snapshot, FAILED, **forced) == ["bad property", "offline", "fork server: gone"]
    inactive = {"faulty": False, "fault_reason": "bad property"}
    assert messages(snapshot, FAILED, **inactive) == ["fork server: gone"]


def test_a_failure_that_no_critical_component_explains() -> None:
    snapshot = by_name(ComponentSnapshot(REST, health=FAILED))

    assert messages(snapshot, FAILED) == [NO_CRITICAL_COMPONENT, f"{REST.name}: healthState is FAILED"]


def test_a_fault_beats_being_disabled_beats_the_components() -> None:
    model = HealthStateModel(DEVICE)
    assert model.health_state is UNKNOWN
    assert model.update(OK) == (OK, True)
    assert model.update(OK) == (OK, False)
    model.set_disabled(disabled=True, reason="offline")
    assert model.update(FAILED) == (UNKNOWN, True)
    model.set_faulty(faulty=True, reason="bad property")
    assert model.update(OK) == (FAILED, True)
    assert model.context() == {
        "device_fqdn": DEVICE,
        "faulty": True,
        "fault_reason": "bad property",
        "disabled": True,
        "disabled_reason": "offline",
    }
    model.set_faulty(faulty=False)
    model.set_disabled(disabled=False)
    assert model.update(OK) == (OK, True)
    assert model.health_state is OK


# ---------------------------------------------------------------- properties
def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


samples = st.builds(
    ComponentSnapshot,
    component=st.builds(Component, st.sampled_from("abcdef"), st.integers(0, 1)),
    state=maybe(st.sampled_from(["ON", "FAULT", "ALARM", "DISABLE", "UNKNOWN", "STANDBY"])),
    health=maybe(st.sampled_from(HealthState)),
    admin_mode=maybe(st.sampled_from(AdminMode)),
    message=maybe(st.just("why")),
)
parts = st.lists(samples, max_size=6, unique_by=lambda sample: sample.component.name)
RANK = {OK: 0, UNKNOWN: 1, DEGRADED: 2, FAILED: 3}


@given(components=parts, data=st.data())
def test_the_order_of_components_does_not_matter(
    components: list[ComponentSnapshot], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(components))
    health = POLICY.evaluate(by_name(*components))

    assert health is POLICY.evaluate(by_name(*shuffled))
    assert messages(by_name(*components), health) == messages(by_name(*shuffled), health)


@given(components=parts)
def test_what_is_not_ok_is_explained_and_what_is_ok_is_not(components: list[ComponentSnapshot]) -> None:
    health = POLICY.evaluate(by_name(*components))

    assert (health is OK) == (messages(by_name(*components), health) == [])
    if health is OK:
        assert [finding for sample in components for finding in sample.findings()] == []


@given(components=parts.filter(lambda parts: parts != []), data=st.data())
def test_a_part_that_gets_worse_never_improves_the_whole(
    components: list[ComponentSnapshot], data: st.DataObject
) -> None:
    reported: Iterable[ComponentSnapshot] = [
        sample for sample in components if sample.counts and not sample.pending
    ]
    victim = data.draw(st.sampled_from([*reported, components[0]]))
    worse = [replace(sample, health=FAILED) if sample is victim else sample for sample in components]

    if victim in reported:
        assert RANK[POLICY.evaluate(by_name(*worse))] >= RANK[POLICY.evaluate(by_name(*components))]
