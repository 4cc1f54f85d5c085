"""Probes check the components that do not report by themselves."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ska_oso_oet.health.schedule import ProbeSchedule
from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.health.component import Component


Checked = tuple[HealthState, str | None]
"""What a check has found: the health of a component and, for operators, why."""


class ComponentProbe(Protocol):
    """A check of one component, to be made every `period_s` seconds."""

    @property
    def component(self) -> Component:
        """What is checked."""

    @property
    def period_s(self) -> float:
        """From the start of one check to the start of the next."""

    @property
    def timeout_s(self) -> float:
        """How long a check may last before the component counts as FAILED."""

    def check(self) -> Checked:
        """Return the health and, for operators, the reason. It should end by itself within `timeout_s`."""


@dataclass(frozen=True)
class Probe:
    """A probe made of a function."""

    component: Component
    check: Callable[[], Checked]
    period_s: float = 2.0
    timeout_s: float = 1.5


@dataclass(frozen=True)
class _Result:
    health: HealthState
    message: str | None
    time: float


class ProbeRunner:
    """Runs each probe at its own period, and when asked to, and hands the results to `report`.

    `report(component, health, message)` is called by one thread, without a lock held. Each check runs in
    a thread that lasts as long as the check, so one that hangs holds up no other: when its timeout has
    passed the component is reported FAILED, its late result is thrown away, and it is checked again
    once the hanging check has come back.
    """

    def __init__(
        self,
        report: Callable[[Component, HealthState, str | None], None],
        logger: logging.Logger | None = None,
    ) -> None:
        self._report = report
        self._logger = logger or logging.getLogger(__name__)
        self._wake = threading.Condition()
        self._schedule = ProbeSchedule()
        self._probes: dict[str, ComponentProbe] = {}
        self._results: dict[str, _Result] = {}
        self._checks: dict[str, threading.Thread] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="health probes", daemon=True)

    def add(self, probe: ComponentProbe) -> None:
        """Run `probe` from now on, the first time at once; one probe for each component."""
        name = probe.component.name
        with self._wake:
            if name in self._probes:
                raise ValueError(f"{name} has a probe already")
            self._probes[name] = probe
            self._schedule.add(name, probe.period_s, probe.timeout_s, time.monotonic())
            self._wake.notify_all()

    def request(self, name: str) -> None:
        """Check the component `name` at once; again, if a check is under way."""
        with self._wake:
            self._schedule.request(name, time.monotonic())
            self._wake.notify_all()

    def start(self) -> None:
        """Start to check."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for checks that are under way, each for no longer than its timeout."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        started = time.monotonic()
        for name, check in self._checks.items():
            check.join(max(0.0, started + self._probes[name].timeout_s - time.monotonic()))
            if check.is_alive():
                self._logger.warning("%s: its check hangs and is abandoned", name)

    def _run(self) -> None:
        while (work := self._next_work()) is not None:
            reports, starting = work
            for name, health, message in reports:
                self._hand_over(self._probes[name].component, health, message)
            for name in starting:
                self._begin(name)

    def _next_work(self) -> tuple[list[tuple[str, HealthState, str | None]], list[str]] | None:
        """Block until there is something to report or to start; None to end."""
        with self._wake:
            while not self._stopping and not self._results:
                wait = self._schedule.next_time() - time.monotonic()
                if wait <= 0:
                    break
                self._wake.wait(min(wait, threading.TIMEOUT_MAX))
            if self._stopping:
                return None
            results, self._results = self._results, {}
            reports = [self._judge(name, result) for name, result in results.items()]
            now = time.monotonic()
            reports += [self._late(name) for name in self._schedule.expire(now)]
            return reports, self._schedule.begin(now)

    def _judge(self, name: str, result: _Result) -> tuple[str, HealthState, str | None]:
        in_time = self._schedule.end(name, result.time)
        return (name, result.health, result.message) if in_time else self._late(name)

    def _late(self, name: str) -> tuple[str, HealthState, str | None]:
        return name, HealthState.FAILED, f"no answer within {self._probes[name].timeout_s:g} s"

    def _begin(self, name: str) -> None:
        check = threading.Thread(target=self._check, args=(name,), name=f"health probe {name}", daemon=True)
        try:
            check.start()
        except RuntimeError as error:  # the system has no thread left
            self._finish(name, HealthState.FAILED, f"its check could not be started: {error}")
        else:
            self._checks[name] = check

    def _check(self, name: str) -> None:
        try:
            health, message = self._probes[name].check()
            health = HealthState(health)
        except Exception as error:  # noqa: BLE001 - whatever a probe raises is its result
            health, message = HealthState.FAILED, f"its check failed: {type(error).__name__}: {error}"
        self._finish(name, health, message)

    def _finish(self, name: str, health: HealthState, message: str | None) -> None:
        with self._wake:
            self._results[name] = _Result(health, message, time.monotonic())
            self._wake.notify_all()

    def _hand_over(self, component: Component, health: HealthState, message: str | None) -> None:
        try:
            self._report(component, health, message)
        except Exception:
            self._logger.exception("%s: its health could not be reported", component.name)
