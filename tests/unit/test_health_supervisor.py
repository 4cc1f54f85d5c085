from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.health import (
    Component,
    HealthEvaluationPolicy,
    HealthStateModel,
    HealthSupervisor,
    Probe,
    ProbeRunner,
)
from ska_oso_oet.ska.control_model import AdminMode, HealthState

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "mid-oso/oet-controller/01"
FORK_SERVER = Component("fork server", weight=1)
REST = Component("mid-oso/oet-rest-adapter/01")
DEADLINE_S = 10.0
NEVER_S = 3600.0


class Published:
    """What has been published, in order; `next` waits for it."""

    def __init__(self) -> None:
        self._values: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.thread: str | None = None

    def __call__(self, attribute: str, value: Any) -> None:
        self.thread = threading.current_thread().name
        self._values.put((attribute, value))

    def next(self) -> tuple[str, Any]:
        return self._values.get(timeout=DEADLINE_S)

    def all(self) -> list[tuple[str, Any]]:
        return [self._values.get_nowait() for _ in range(self._values.qsize())]


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def supervisor(published: Published) -> HealthSupervisor:
    """A supervisor whose thread does not run."""
    return HealthSupervisor(model=HealthStateModel(DEVICE), update_attribute=published)


def test_messages_are_published_before_the_health_that_they_explain(
    supervisor: HealthSupervisor, published: Published
) -> None:
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.FAILED, message="no memory")

    assert supervisor.health_state is HealthState.UNKNOWN
    assert supervisor.evaluate()
    assert published.all() == [
        ("healthInfo", {DEVICE: ["fork server: no memory"]}),
        ("healthState", HealthState.FAILED),
    ]
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    assert supervisor.evaluate()
    assert published.all() == [("healthInfo", {}), ("healthState", HealthState.OK)]


def test_both_can_be_read_before_either_is_published() -> None:
    seen = []

    def publish(*_: Any) -> None:
        seen.append((watched.health_state, watched.health_state_info))

    watched = HealthSupervisor(model=HealthStateModel(DEVICE), update_attribute=publish)
    watched.on_subsystem_event(FORK_SERVER, state="FAULT")
    watched.evaluate()

    assert seen == [(HealthState.FAILED, {DEVICE: ["fork server: State is FAULT"]})] * 2


def test_an_unchanged_snapshot_is_not_evaluated_again(
    supervisor: HealthSupervisor, published: Published
) -> None:
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    assert supervisor.evaluate()
    assert published.all() == [("healthState", HealthState.OK)]

    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    assert not supervisor.evaluate()
    assert supervisor.evaluate(force=True)
    assert published.all() == []


def test_what_makes_no_sense_is_ignored(
    supervisor: HealthSupervisor, caplog: pytest.LogCaptureFixture
) -> None:
    no_health: Any = 99
    no_mode: Any = "ONLINE"
    supervisor.on_subsystem_event(REST)
    supervisor.on_subsystem_event(REST, health=no_health)
    supervisor.on_subsystem_event(REST, admin_mode=no_mode)

    assert not supervisor.evaluate()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_criticality_comes_from_the_policy(published: Published) -> None:
    policy = HealthEvaluationPolicy({REST.name: 1, FORK_SERVER.name: 0})
    supervisor = HealthSupervisor(model=HealthStateModel(DEVICE), update_attribute=published, policy=policy)

    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.FAILED)
    supervisor.evaluate()
    supervisor.on_subsystem_event(REST, health=HealthState.FAILED)
    supervisor.evaluate()

    states = [value for attribute, value in published.all() if attribute == "healthState"]
    assert states == [HealthState.DEGRADED, HealthState.FAILED]


def test_while_an_expected_critical_component_is_silent_the_health_is_unknown(
    supervisor: HealthSupervisor, published: Published
) -> None:
    supervisor.expect(FORK_SERVER)
    supervisor.expect(REST)
    supervisor.on_subsystem_event(Component("oda"), health=HealthState.OK)
    supervisor.evaluate()
    assert published.all() == [("healthInfo", {DEVICE: ["fork server: has not reported yet"]})]

    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    supervisor.evaluate()
    assert published.all() == [("healthInfo", {}), ("healthState", HealthState.OK)]


def test_a_device_taken_out_of_use_no_longer_counts(supervisor: HealthSupervisor) -> None:
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    supervisor.on_subsystem_event(REST, state="fault", admin_mode=AdminMode.ONLINE)
    supervisor.evaluate()
    assert supervisor.health_state_info == {DEVICE: [f"{REST.name}: State is FAULT"]}
    supervisor.on_subsystem_event(REST, admin_mode=AdminMode.OFFLINE)
    supervisor.evaluate()
    assert supervisor.health_state is HealthState.OK


def test_forwarded_messages_need_no_other_change(supervisor: HealthSupervisor, published: Published) -> None:
    supervisor.update_subsystems_healthinfo(REST.name, '{"old": ["x"]}')
    supervisor.update_subsystems_healthinfo(REST.name, f'{{"{REST.name}": ["port is taken"]}}')

    assert supervisor.evaluate()
    assert published.all() == [
        (
            "healthInfo",
            {DEVICE: ["no component that is in use has reported yet"], REST.name: ["port is taken"]},
        )
    ]
    assert not supervisor.evaluate()


def test_a_publication_that_fails_does_not_hold_up_the_next() -> None:
    tried = []

    def publish(attribute: str, _: Any) -> None:
        tried.append(attribute)
        raise RuntimeError("not now")

    supervisor = HealthSupervisor(model=HealthStateModel(DEVICE), update_attribute=publish)
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.FAILED)
    supervisor.evaluate()

    assert tried == ["healthInfo", "healthState"]


# ---------------------------------------------------------------- the thread
@pytest.fixture
def slow(published: Published) -> Iterator[HealthSupervisor]:
    """A running supervisor that debounces so long that only immediate events are seen."""
    supervisor = HealthSupervisor(
        model=HealthStateModel(DEVICE), update_attribute=published, debounce_s=NEVER_S, max_latency_s=NEVER_S
    )
    supervisor.start()
    yield supervisor
    supervisor.stop()


def test_a_burst_is_published_as_one(published: Published) -> None:
    supervisor = HealthSupervisor(
        model=HealthStateModel(DEVICE), update_attribute=published, debounce_s=0.05, max_latency_s=0.1
    )
    for health in (HealthState.DEGRADED, HealthState.OK, HealthState.FAILED):
        supervisor.on_subsystem_event(FORK_SERVER, health=health)
    supervisor.start()
    try:
        assert published.next() == ("healthInfo", {DEVICE: ["fork server: healthState is FAILED"]})
        assert published.next() == ("healthState", HealthState.FAILED)
        supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
        assert published.next() == ("healthInfo", {})
        assert published.next() == ("healthState", HealthState.OK)
    finally:
        supervisor.stop()
    assert published.all() == []
    assert published.thread == "health supervisor"


def test_an_immediate_event_takes_the_debounced_ones_with_it(
    slow: HealthSupervisor, published: Published
) -> None:
    slow.on_subsystem_event(REST, health=HealthState.FAILED)
    slow.report_probe(FORK_SERVER, HealthState.OK, None)

    assert published.next() == ("healthInfo", {DEVICE: [f"{REST.name}: healthState is FAILED"]})
    assert published.next() == ("healthState", HealthState.DEGRADED)


def test_a_fault_of_the_device_itself_is_published_at_once(
    slow: HealthSupervisor, published: Published
) -> None:
    slow.set_faulty(faulty=True, reason="OdaUrl is malformed")
    assert published.next() == ("healthInfo", {DEVICE: ["OdaUrl is malformed"]})
    assert published.next() == ("healthState", HealthState.FAILED)
    slow.set_disabled(disabled=True, reason="adminMode is OFFLINE")
    assert published.next() == ("healthInfo", {DEVICE: ["OdaUrl is malformed", "adminMode is OFFLINE"]})
    slow.set_faulty(faulty=False)
    assert published.next() == ("healthInfo", {DEVICE: ["adminMode is OFFLINE"]})
    assert published.next() == ("healthState", HealthState.UNKNOWN)


def test_a_policy_that_raises_does_not_end_supervision(published: Published) -> None:
    raised = threading.Event()

    class Broken(HealthEvaluationPolicy):
        def evaluate(self, snapshot: Any) -> HealthState:
            if snapshot[FORK_SERVER.name].health is HealthState.DEGRADED:
                raised.set()
                raise ZeroDivisionError
            return super().evaluate(snapshot)

    supervisor = HealthSupervisor(
        model=HealthStateModel(DEVICE), update_attribute=published, policy=Broken(), debounce_s=0.0
    )
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.DEGRADED)
    supervisor.start()
    try:
        assert raised.wait(DEADLINE_S)
        supervisor.report_probe(FORK_SERVER, HealthState.OK, None)
        assert published.next() == ("healthState", HealthState.OK)
    finally:
        supervisor.stop()


def test_a_probe_drives_the_health_of_the_device(slow: HealthSupervisor, published: Published) -> None:
    answers = iter(
        [
            (HealthState.OK, None),
            (HealthState.FAILED, "a worker could not be started: Cannot allocate memory"),
            (HealthState.OK, None),
        ]
    )
    runner = ProbeRunner(slow.report_probe)
    runner.add(Probe(FORK_SERVER, lambda: next(answers), period_s=NEVER_S))
    runner.start()
    try:
        assert published.next() == ("healthState", HealthState.OK)
        runner.request("fork server")
        message = "fork server: a worker could not be started: Cannot allocate memory"
        assert published.next() == ("healthInfo", {DEVICE: [message]})
        assert published.next() == ("healthState", HealthState.FAILED)
        runner.request("fork server")
        assert published.next() == ("healthInfo", {})
        assert published.next() == ("healthState", HealthState.OK)
    finally:
        runner.stop()


def test_stopping_ends_the_thread(published: Published) -> None:
    supervisor = HealthSupervisor(model=HealthStateModel(DEVICE), update_attribute=published)
    supervisor.start()
    supervisor.on_subsystem_event(FORK_SERVER, health=HealthState.OK)
    supervisor.stop()
    supervisor.stop()

    assert "health supervisor" not in {thread.name for thread in threading.enumerate()}


def test_one_that_was_never_started_can_be_stopped(supervisor: HealthSupervisor) -> None:
    supervisor.stop()
    assert not supervisor.evaluate()
