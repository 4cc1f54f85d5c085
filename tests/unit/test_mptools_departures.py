from __future__ import annotations

from ska_oso_oet.mptools.departures import Departures


def test_one_that_left_nothing_is_gone_at_once() -> None:
    departures = Departures()
    departures.begin(1)
    assert list(departures) == [(1, set())]
    assert departures.look([]) == [1]
    assert not list(departures)


def test_one_is_gone_when_all_is_gone_that_it_left() -> None:
    departures = Departures()
    departures.begin(1)
    assert departures.look([70, 71]) == []
    assert departures.left_by(1) == {70, 71}
    # What 70 had started comes to light when 70 is dead.
    assert departures.look([71, 72]) == []
    assert departures.left_by(1) == {71, 72}
    assert departures.look([]) == [1]
    assert departures.left_by(1) == frozenset()


def test_what_cannot_be_ended_holds_up_only_those_who_may_have_left_it() -> None:
    departures = Departures()
    departures.begin(1)
    assert departures.look([70]) == []
    departures.begin(2)
    assert departures.look([70]) == [2]
    departures.begin(3)
    assert departures.look([70, 71]) == []
    assert departures.look([70]) == [3]
    assert departures.left_by(1) == {70}


def test_what_appears_is_put_down_to_all_who_may_have_left_it() -> None:
    departures = Departures()
    departures.begin(1)
    departures.begin(2)
    assert departures.look([70]) == []
    assert departures.look([]) == [1, 2]


def test_one_that_is_forgotten_is_not_told() -> None:
    departures = Departures()
    departures.begin(1)
    departures.look([70])
    departures.forget(1)
    departures.forget(2)
    assert departures.look([]) == []


def test_one_whose_end_is_noticed_later_than_what_it_left_is_not_gone_before_that_is() -> None:
    departures = Departures()
    departures.begin(1)
    assert departures.look([70], ending=[1, 2, 3]) == []
    departures.begin(2)
    assert departures.look([70]) == []
    assert departures.look([]) == [1, 2]
    # Nothing was left by 3, and its end has not been told yet.
    departures.begin(3)
    assert departures.look([]) == [3]
