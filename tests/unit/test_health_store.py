from __future__ import annotations

from ska_oso_oet.health import Component, ComponentSnapshot, ComponentSnapshotStore, HealthStateStore, Sample
from ska_oso_oet.ska.control_model import AdminMode, HealthState, ObsState

ODA = Component("oda")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_fields_are_replaced_one_by_one() -> None:
    store = ComponentSnapshotStore()

    store.set(ODA, state="ON", health=HealthState.OK)
    store.set(ODA, admin_mode=AdminMode.ONLINE, obs_state=ObsState.READY)
    store.set(ODA, health=HealthState.FAILED)

    assert store.snapshot() == {
        "oda": ComponentSnapshot(ODA, "ON", HealthState.FAILED, AdminMode.ONLINE, ObsState.READY)
    }


def test_the_revision_grows_only_with_a_change() -> None:
    clock = Clock()
    store = ComponentSnapshotStore(clock)

    assert store.revision() == 0
    assert store.set(ODA, state="ON") == 1
    clock.now = 200.0
    assert store.set(ODA, state="ON") == 1
    assert store.set(ODA) == 1
    before = store.snapshot_samples()["oda"]
    assert (before.revision, before.time) == (1, 100.0)
    assert store.set(ODA, state="FAULT") == 2
    assert store.set(Component("other"), state="FAULT") == store.revision() == 3
    assert store.snapshot_samples()["oda"] == Sample(ComponentSnapshot(ODA, "FAULT"), 2, 200.0)


def test_a_new_weight_is_a_change() -> None:
    store = ComponentSnapshotStore()
    store.set(ODA, state="ON")

    assert store.set(Component("oda", weight=1)) == 2
    assert store.snapshot()["oda"] == ComponentSnapshot(Component("oda", weight=1), "ON")


def test_a_snapshot_is_of_its_moment() -> None:
    store = ComponentSnapshotStore()
    before = store.snapshot()
    store.set(ODA, state="ON")
    assert before == {}


def test_a_message_belongs_to_the_health_that_it_came_with() -> None:
    store = HealthStateStore()

    store.set(ODA, health=HealthState.FAILED, message="does not answer")
    store.set(ODA, state="ON")
    assert store.snapshot()["oda"].message == "does not answer"
    store.set(ODA, message="does not answer since 12:00")
    assert store.snapshot()["oda"].health is HealthState.FAILED
    assert store.snapshot()["oda"].message == "does not answer since 12:00"
    store.set(ODA, health=HealthState.OK)
    assert store.snapshot()["oda"].message is None


def test_an_expected_component_is_pending() -> None:
    store = HealthStateStore()

    assert store.expect(ODA) == 1
    assert store.expect(ODA) == 1
    assert store.snapshot()["oda"].pending
    store.set(ODA, health=HealthState.OK)
    assert store.expect(ODA) == 2
    assert store.snapshot()["oda"].health is HealthState.OK
