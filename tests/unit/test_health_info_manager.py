from __future__ import annotations

import threading
from typing import Any

import pytest

from ska_oso_oet.health import HealthInfoManager

DEVICE = "mid-oso/oet-controller/01"
DEADLINE_S = 10.0


class Published:
    def __init__(self) -> None:
        self.values: list[dict[str, list[str]]] = []

    def __call__(self, attribute: str, value: Any) -> None:
        assert attribute == "healthInfo"
        self.values.append(value)


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def manager(published: Published) -> HealthInfoManager:
    return HealthInfoManager(device_fqdn=DEVICE, callback=published)


def test_this_device_comes_first_and_the_others_by_name(
    manager: HealthInfoManager, published: Published
) -> None:
    manager.update_subsystems_healthinfo("z/z/z", {"z/z/z": ["hot"], "a/a/a": ["cold"]})
    manager.update_health_info({DEVICE: ["slow"]})

    assert list(published.values[-1].items()) == [(DEVICE, ["slow"]), ("a/a/a", ["cold"]), ("z/z/z", ["hot"])]
    assert manager.snapshot() == published.values[-1]
    assert len(published.values) == 2


def test_local_and_forwarded_messages_make_one_publication(
    manager: HealthInfoManager, published: Published
) -> None:
    manager.update_health_info({DEVICE: ["slow"]}, subsystem_updates_by_source={"a/a/a": {"a/a/a": ["cold"]}})

    assert published.values == [{DEVICE: ["slow"], "a/a/a": ["cold"]}]


def test_only_changes_are_published(manager: HealthInfoManager, published: Published) -> None:
    manager.update_health_info({DEVICE: []})
    manager.update_subsystems_healthinfo("a/a/a", "{}")
    assert published.values == []
    manager.update_health_info({DEVICE: ["slow"]})
    manager.update_health_info({DEVICE: ["slow"]})
    manager.update_health_info()
    assert published.values == [{DEVICE: ["slow"]}]
    manager.update_health_info({DEVICE: []})
    assert published.values[1:] == [{}]


def test_only_the_entry_of_this_device_is_local(manager: HealthInfoManager) -> None:
    manager.update_health_info({DEVICE: ["slow"], "a/a/a": ["cold"]})
    manager.update_health_info({"a/a/a": ["cold"]})

    assert manager.snapshot() == {DEVICE: ["slow"]}


def test_sources_are_merged_without_repeats_in_their_order(manager: HealthInfoManager) -> None:
    manager.update_subsystems_healthinfo("s/2/2", {"a/a/a": ["third", "second", "third"]})
    manager.update_subsystems_healthinfo("s/1/1", {"a/a/a": ["first", "second"]})

    assert manager.snapshot() == {"a/a/a": ["first", "second", "third"]}


def test_what_is_no_longer_reported_goes(manager: HealthInfoManager, published: Published) -> None:
    manager.update_subsystems_healthinfo("s/1/1", {"a/a/a": ["cold"], "b/b/b": ["hot"]})
    manager.update_subsystems_healthinfo("s/2/2", {"a/a/a": ["cold"]})
    manager.update_subsystems_healthinfo("s/1/1", {"b/b/b": ["hot"]})
    assert manager.snapshot() == {"a/a/a": ["cold"], "b/b/b": ["hot"]}
    manager.update_subsystems_healthinfo("s/1/1", None)
    manager.update_subsystems_healthinfo("s/2/2", {"a/a/a": []})
    assert published.values[-1] == {}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"a/a/a": ["cold", "cold", ""]}', {"a/a/a": ["cold"]}),
        ({"a/a/a": "cold"}, {"a/a/a": ["cold"]}),
        ({"a/a/a": ("cold", 7, None, "  ")}, {"a/a/a": ["cold", "7"]}),
        ({"": ["cold"], 5: ["five"]}, {"5": ["five"]}),
        ("", {}),
        ("   ", {}),
        ("not JSON", {}),
        ('["cold"]', {}),
        (["cold"], {}),
        (5, {}),
        (None, {}),
    ],
)
def test_payloads_are_normalised(
    manager: HealthInfoManager, payload: Any, expected: dict[str, list[str]]
) -> None:
    manager.update_subsystems_healthinfo("s/1/1", {"a/a/a": ["earlier"]})
    manager.update_subsystems_healthinfo("s/1/1", payload)

    assert manager.snapshot() == expected


def test_what_others_say_of_this_device_does_not_come_back(manager: HealthInfoManager) -> None:
    manager.update_subsystems_healthinfo("s/1/1", {DEVICE.upper(): ["slow"], "s/1/1": ["cold"]})

    assert manager.snapshot() == {"s/1/1": ["cold"]}


def test_what_is_published_can_be_changed_without_harm(
    manager: HealthInfoManager, published: Published
) -> None:
    manager.update_health_info({DEVICE: ["slow"]})
    published.values[0][DEVICE].append("spoilt")
    manager.snapshot()[DEVICE].append("spoilt")

    assert manager.snapshot() == {DEVICE: ["slow"]}


def test_no_lock_is_held_and_the_latest_comes_last() -> None:
    entered, go_on = threading.Event(), threading.Event()
    values = []

    def publish(_: str, value: Any) -> None:
        values.append(value)
        entered.set()
        assert go_on.wait(DEADLINE_S)

    manager = HealthInfoManager(device_fqdn=DEVICE, callback=publish)
    first = threading.Thread(target=lambda: manager.update_health_info({DEVICE: ["1"]}))
    first.start()
    assert entered.wait(DEADLINE_S)
    manager.update_health_info({DEVICE: ["2"]})
    manager.update_health_info({DEVICE: ["3"]})
    assert manager.snapshot() == {DEVICE: ["3"]}
    assert values == [{DEVICE: ["1"]}]
    go_on.set()
    first.join(DEADLINE_S)

    assert values == [{DEVICE: ["1"]}, {DEVICE: ["3"]}]
