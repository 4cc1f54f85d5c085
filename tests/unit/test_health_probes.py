from __future__ import annotations

import math
import queue
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.health import Component, ComponentProbe, Probe, ProbeRunner
from ska_oso_oet.health.schedule import ProbeSchedule
from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Iterator

FORK_SERVER = Component("fork server", weight=1)
ODA = Component("oda")
DEADLINE_S = 10.0
NEVER_S = 3600.0
Report = tuple[str, HealthState, str | None]


# ---------------------------------------------------------------- the rules
def test_a_probe_runs_at_once_and_then_by_its_period() -> None:
    schedule = ProbeSchedule()
    assert schedule.next_time() == math.inf
    schedule.add("oda", 2.0, 1.5, now=10.0)

    assert (schedule.next_time(), schedule.begin(10.0)) == (10.0, ["oda"])
    assert (schedule.next_time(), schedule.begin(11.0)) == (11.5, [])
    assert schedule.end("oda", 10.5)
    assert (schedule.next_time(), schedule.begin(11.9)) == (12.0, [])
    assert schedule.begin(12.0) == ["oda"]


def test_a_late_probe_expires_once_and_runs_again_when_it_has_come_back() -> None:
    schedule = ProbeSchedule()
    schedule.add("oda", 2.0, 1.5, now=10.0)
    schedule.begin(10.0)

    assert schedule.expire(11.4) == []
    assert schedule.expire(11.5) == ["oda"]
    assert (schedule.expire(12.0), schedule.begin(20.0), schedule.next_time()) == ([], [], math.inf)
    assert not schedule.end("oda", 20.0)
    assert schedule.begin(20.0) == ["oda"]
    assert schedule.end("oda", 20.1)


def test_an_answer_that_comes_late_but_unnoticed_is_late() -> None:
    schedule = ProbeSchedule()
    schedule.add("oda", 2.0, 1.5, now=10.0)
    schedule.begin(10.0)

    assert not schedule.end("oda", 11.5)


def test_a_request_makes_a_probe_due() -> None:
    schedule = ProbeSchedule()
    schedule.add("oda", 60.0, 1.5, now=10.0)
    schedule.begin(10.0)
    schedule.end("oda", 10.1)

    schedule.request("oda", 20.0)
    assert schedule.begin(20.0) == ["oda"]
    schedule.request("oda", 20.5)
    assert schedule.begin(20.6) == []
    schedule.end("oda", 21.0)
    assert schedule.begin(21.0) == ["oda"]
    schedule.end("oda", 21.1)
    assert schedule.next_time() == 81.0


@given(fails_at=st.floats(0.0, 100.0), duration=st.floats(0.0, 1.4))
def test_a_failure_and_a_recovery_are_seen_within_five_seconds(fails_at: float, duration: float) -> None:
    """With the default period and timeout, whether the check answers or hangs for its whole timeout."""
    for hangs in (False, True):
        schedule = ProbeSchedule()
        schedule.add("fork server", 2.0, 1.5, now=0.0)
        while True:
            started = schedule.next_time()
            assert schedule.begin(started)
            known_at = started + (1.5 if hangs and started >= fails_at else duration)
            if started >= fails_at:
                break
            schedule.end("fork server", known_at)
        assert known_at - fails_at <= 4.0


# ---------------------------------------------------------------- the runner
class Reports:
    def __init__(self) -> None:
        self._reports: queue.Queue[Report] = queue.Queue()

    def __call__(self, component: Component, health: HealthState, message: str | None) -> None:
        self._reports.put((component.name, health, message))

    def next(self) -> Report:
        return self._reports.get(timeout=DEADLINE_S)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def runner(reports: Reports) -> Iterator[ProbeRunner]:
    runner = ProbeRunner(reports)
    runner.start()
    yield runner
    runner.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("health probe")]


def test_a_probe_reports_again_and_again(runner: ProbeRunner, reports: Reports) -> None:
    answers = iter([(HealthState.OK, None), (HealthState.DEGRADED, "slow"), (HealthState.OK, None)])
    last = (HealthState.OK, None)
    runner.add(Probe(ODA, lambda: next(answers, last), period_s=0.001))

    assert reports.next() == ("oda", HealthState.OK, None)
    assert reports.next() == ("oda", HealthState.DEGRADED, "slow")
    assert reports.next() == ("oda", HealthState.OK, None)


def test_a_probe_that_raises_counts_as_failed_and_goes_on(runner: ProbeRunner, reports: Reports) -> None:
    def check() -> tuple[HealthState, str | None]:
        raise ConnectionError("refused")

    runner.add(Probe(ODA, check, period_s=0.001))

    assert [reports.next() for _ in range(2)] == [
        ("oda", HealthState.FAILED, "its check failed: ConnectionError: refused")
    ] * 2


def test_a_probe_that_hangs_counts_as_failed_and_holds_up_no_other(
    runner: ProbeRunner, reports: Reports
) -> None:
    come_back = threading.Event()
    checks: list[str] = []

    def hang() -> tuple[HealthState, str | None]:
        checks.append("check")
        assert come_back.wait(DEADLINE_S)
        return HealthState.OK, None

    runner.add(Probe(FORK_SERVER, hang, period_s=NEVER_S, timeout_s=0.02))
    assert reports.next() == ("fork server", HealthState.FAILED, "no answer within 0.02 s")
    runner.add(Probe(ODA, lambda: (HealthState.OK, None), period_s=NEVER_S))
    assert reports.next() == ("oda", HealthState.OK, None)
    assert checks == ["check"]

    come_back.set()
    while (report := reports.next()) != ("fork server", HealthState.OK, None):
        assert report == ("fork server", HealthState.FAILED, "no answer within 0.02 s")
    assert len(checks) >= 2


def test_a_probe_runs_on_request(runner: ProbeRunner, reports: Reports) -> None:
    number = iter(range(100))
    runner.add(Probe(ODA, lambda: (HealthState.OK, str(next(number))), period_s=NEVER_S))
    assert reports.next() == ("oda", HealthState.OK, "0")

    runner.request("oda")
    assert reports.next() == ("oda", HealthState.OK, "1")


def test_a_request_during_a_check_leads_to_another(runner: ProbeRunner, reports: Reports) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def check() -> tuple[HealthState, str | None]:
        entered.set()
        assert go_on.wait(DEADLINE_S)
        return HealthState.OK, None

    runner.add(Probe(ODA, check, period_s=NEVER_S, timeout_s=NEVER_S))
    assert entered.wait(DEADLINE_S)
    runner.request("oda")
    go_on.set()

    assert [reports.next() for _ in range(2)] == [("oda", HealthState.OK, None)] * 2


def test_a_report_that_fails_does_not_end_the_runner() -> None:
    reported = threading.Semaphore(0)

    def report(*_: object) -> None:
        reported.release()
        raise RuntimeError("not now")

    runner = ProbeRunner(report)
    runner.add(Probe(ODA, lambda: (HealthState.OK, None), period_s=0.001))
    runner.start()
    try:
        assert reported.acquire(timeout=DEADLINE_S)
        assert reported.acquire(timeout=DEADLINE_S)
    finally:
        runner.stop()


def test_a_component_has_one_probe(runner: ProbeRunner) -> None:
    probe: ComponentProbe = Probe(ODA, lambda: (HealthState.OK, None), period_s=NEVER_S)
    runner.add(probe)
    with pytest.raises(ValueError, match="oda has a probe already"):
        runner.add(probe)


def test_stopping_abandons_a_check_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    entered, come_back = threading.Event(), threading.Event()

    def hang() -> tuple[HealthState, str | None]:
        entered.set()
        assert come_back.wait(DEADLINE_S)
        return HealthState.OK, None

    runner = ProbeRunner(lambda *_: None)
    runner.add(Probe(ODA, hang, timeout_s=0.02))
    runner.start()
    assert entered.wait(DEADLINE_S)
    hanging = [thread for thread in threading.enumerate() if thread.name == "health probe oda"]
    runner.stop()

    assert [record.message for record in caplog.records] == ["oda: its check hangs and is abandoned"]
    come_back.set()
    for thread in hanging:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
