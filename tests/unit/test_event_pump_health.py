"""What the health says of the event pump: that events leave late, and that subscribers have an old value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.device.controller_health import check_pump
from ska_oso_oet.ska.control_model import HealthState
from ska_oso_oet.ska.event_pump import EventPump

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 10.0


class Subscribers:
    """Cannot be reached while `away`."""

    def __init__(self) -> None:
        self.away = False

    def push(self, name: str, value: object) -> None:
        if self.away:
            raise OSError(f"{name}={value}")


@pytest.fixture
def subscribers() -> Subscribers:
    return Subscribers()


@pytest.fixture
def pump(subscribers: Subscribers) -> Iterator[EventPump]:
    pump = EventPump(subscribers.push, retry_on=OSError, pauses=())
    pump.start()
    yield pump
    assert pump.stop()


def test_events_that_were_lost_are_reported_until_subscribers_have_the_newest(
    pump: EventPump, subscribers: Subscribers
) -> None:
    assert check_pump(pump) == (HealthState.OK, None)
    subscribers.away = True
    for name in ("procedures", "event", "event"):
        pump.put(name, "{}")
    assert pump.settle(DEADLINE)
    health, message = check_pump(pump)
    assert health is HealthState.DEGRADED
    assert message == "subscribers have an old value of event, procedures: events pushed in vain so far: 3"
    subscribers.away = False
    pump.put("event", "{}")
    pump.put("procedures", "{}")
    assert pump.settle(DEADLINE)
    assert check_pump(pump) == (HealthState.OK, None)


def test_a_pump_that_does_not_get_on_is_reported_first() -> None:
    class Late(EventPump):
        lag = 2.0

    late = Late(lambda *_: None, retry_on=OSError)
    assert check_pump(late) == (HealthState.DEGRADED, "events are pushed 2 s late; 0 are waiting")
