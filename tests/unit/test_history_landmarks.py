"""New ids and final states are waited for until they are stored, and no store is waited for in vain twice."""

from __future__ import annotations

import threading

from ska_oso_oet.history.landmarks import Landmarks

DEADLINE = 10.0


def waiting(landmarks: Landmarks) -> threading.Thread:
    thread = threading.Thread(target=landmarks.wait)
    thread.start()
    return thread


def test_what_is_stored_is_not_waited_for() -> None:
    landmarks = Landmarks()
    landmarks.begin()
    landmarks.wait()
    landmarks.note()
    assert landmarks.urgent
    landmarks.stored(1)
    landmarks.wait()
    assert not landmarks.urgent
    assert not landmarks.gap


def test_who_waits_goes_on_when_it_is_stored_or_when_there_is_nobody_to_store_it() -> None:
    for release in (lambda known: known.stored(1), Landmarks.stop_waiting, Landmarks.end):
        landmarks = Landmarks()
        landmarks.begin()
        landmarks.note()
        thread = waiting(landmarks)
        release(landmarks)
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_a_gap_lasts_until_everything_is_stored() -> None:
    landmarks = Landmarks()
    landmarks.begin()
    for _ in range(3):
        landmarks.note()
    landmarks.wait()  # nobody stores: it is told all the same
    assert landmarks.gap
    landmarks.note()
    landmarks.wait()
    landmarks.stored(3)
    assert landmarks.gap
    landmarks.stored(4)
    assert not landmarks.gap


def test_before_there_is_somebody_who_stores_nobody_waits() -> None:
    landmarks = Landmarks()
    landmarks.note()
    landmarks.wait()
    assert not landmarks.gap
