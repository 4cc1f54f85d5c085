from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.health.debouncer import Debouncer


def test_it_waits_for_quiet() -> None:
    debouncer = Debouncer(0.4, 0.7)
    assert not debouncer.reset_if_due(1e9)

    debouncer.request(10.0)
    assert debouncer.deadline == 10.4
    debouncer.request(10.25)
    assert debouncer.deadline == 10.65
    assert not debouncer.reset_if_due(10.64)
    assert debouncer.reset_if_due(10.65)
    assert not debouncer.reset_if_due(11.0)


def test_it_does_not_wait_for_ever() -> None:
    debouncer = Debouncer(0.4, 0.7)
    for now in (10.0, 10.25, 10.5, 10.625):
        debouncer.request(now)

    assert debouncer.deadline == 10.7


def test_an_immediate_event_is_not_held_up_by_later_ones() -> None:
    debouncer = Debouncer(0.4, 0.7)
    debouncer.request(10.0)
    debouncer.request(10.1, immediate=True)
    debouncer.request(10.2)

    assert debouncer.reset_if_due(10.2)
    debouncer.request(10.3)
    assert debouncer.deadline == 10.3 + 0.4


@given(steps=st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=30))
def test_no_event_waits_longer_than_it_may_and_none_is_lost(steps: list[tuple[float, bool]]) -> None:
    debouncer, now = Debouncer(0.4, 0.7), 0.0
    waiting: list[float] = []
    for step, immediate in steps:
        now += step
        if debouncer.deadline is not None and debouncer.deadline <= now:
            assert debouncer.deadline - waiting[0] <= 0.7 + 1e-9
            assert debouncer.reset_if_due(debouncer.deadline)
            waiting = []
        waiting.append(now)
        debouncer.request(now, immediate=immediate)
        assert debouncer.deadline is not None
        assert now <= debouncer.deadline <= waiting[0] + 0.7 + 1e-9 or immediate
