"""ControllerHealth finds the health of the controller: it knows its parts, and how each is checked."""

from __future__ import annotations

import logging
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.device.monitored_devices import MonitoredDevices, is_silent
from ska_oso_oet.device.work_log import log_health
from ska_oso_oet.errors import OetError
from ska_oso_oet.health import (
    Checked,
    Component,
    HealthEvaluationPolicy,
    HealthStateModel,
    HealthSupervisor,
    Probe,
    ProbeRunner,
    why_not_ready,
)
from ska_oso_oet.mptools import describe
from ska_oso_oet.ska.control_model import AdminMode, HealthState
from ska_oso_oet.worker.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.engine import Engine
    from ska_oso_oet.mptools import MainContext
    from ska_oso_oet.ska.event_pump import EventPump

FORK_SERVER: Final = "fork server"
EVENT_PUMP: Final = "event pump"
ODA: Final = "ODA"
HISTORY: Final = "history"
PROCESSES: Final = "processes"
NOT_INITIALISED: Final = "the device is being initialised"
_OUT_OF_USE: Final = {"INIT": NOT_INITIALISED, "DISABLE": "adminMode is {mode}"}
"""States in which the device is not in use, and how that is reported."""

_WORKER_SECS: Final = 1.2
_START_SECS: Final = 15.0
"""How long a fork server may take to start up on a loaded machine before that is a failure."""
_DEATH_SECS: Final = 2.0
"""How long a process that was killed may take to end; the operating system needs that only in trouble."""
_PERIOD_SECS: Final = 3.5
"""With the time that a worker is given, a fault is known within 5 s; more often would cost idle CPU."""
_SILENT_SECS: Final = 5.0
"""For what announces itself to nobody: a history that hangs or has lost its file."""
_ODA_PERIOD_SECS: Final = 5.0
_ODA_TIMEOUT_SECS: Final = 12.0
"""Longer than the store's own timeouts, so that its reason is reported rather than that there was none."""
_LAG_SECS: Final = 1.0
_STUCK_SECS: Final = 5.0
_log = logging.getLogger(__name__)


class ControllerHealth:
    """The health of the controller, from `start` to `stop`; its parts are checked from `watch` to `rest`.

    `publish(attribute, value)` receives healthInfo (a dict), healthState (a HealthState) and whyNotReady (a
    sentence, empty when scripts can be started) on a thread of this object, each when it has changed.
    """

    def __init__(self, device_name: str, publish: Callable[[str, Any], None]) -> None:
        self._device_name = device_name
        self._publish = publish
        self._state = "INIT"
        self._why_not_ready = NOT_INITIALISED
        self._supervisor = HealthSupervisor(
            model=HealthStateModel(device_name),
            update_attribute=publish,
            logger=_log,
        )
        self._supervisor.evaluated = self._judge_readiness
        self._supervisor.set_disabled(disabled=True, reason=NOT_INITIALISED)
        self._parts: _Parts | None = None
        self._logged: tuple[HealthState, list[str]] = HealthState.UNKNOWN, []

    def start(self) -> None:
        """Begin to evaluate."""
        self._supervisor.start()

    def stop(self) -> None:
        """End the checks and all threads."""
        self.rest()
        self._supervisor.stop()

    def follow(self, state: str, fault: str, admin_mode: AdminMode) -> None:
        """Follow the state of the device: a fault, or being out of use, wins over what its parts report."""
        self._state = state
        reason = _OUT_OF_USE.get(state, "").format(mode=admin_mode.name)
        faulty = partial(self._supervisor.set_faulty, faulty=state == "FAULT", reason=fault)
        disabled = partial(self._supervisor.set_disabled, disabled=bool(reason), reason=reason)
        # What begins is noted before the other ends, so that the parts do not count in between.
        for note in (disabled, faulty) if reason else (faulty, disabled):
            note()

    def watch(
        self, engine: Engine, pump: EventPump, critical: Sequence[str], monitored: Sequence[str]
    ) -> None:
        """Begin to check the parts; `critical` names those without which the controller can do no work."""
        self._supervisor.begin(HealthEvaluationPolicy(weights=dict.fromkeys(critical, 1)))
        self._parts = _Parts(self._supervisor, engine, pump, monitored)
        self._parts.start()

    def rest(self) -> None:
        """Check the parts no longer, and forget what they reported."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.stop()
            self._supervisor.begin(HealthEvaluationPolicy())

    def devices(self) -> dict[str, bool]:
        """Return for each monitored device whether it replies; False until it has for the first time."""
        parts = self._parts
        return {} if parts is None else parts.devices()

    @property
    def why_not_ready(self) -> str:
        """Why no script can be started now; empty when they can."""
        return self._why_not_ready

    def _judge_readiness(self) -> None:
        messages = self._supervisor.health_state_info.get(self._device_name, [])
        health = self._supervisor.health_state
        self._log_changes(health, messages)
        needed = self._supervisor.components().get(FORK_SERVER)
        reason = why_not_ready(self._state, health, messages, needed)
        if reason != self._why_not_ready:
            self._why_not_ready = reason
            self._publish("whyNotReady", reason)

    def _log_changes(self, health: HealthState, messages: list[str]) -> None:
        # What only counts on, such as changes that wait, is no news.
        parts = health, [message.partition(":")[0] for message in messages]
        if parts != self._logged:
            self._logged = parts
            log_health(health.name, messages)


class _Parts:
    """The parts that are checked, and the devices that are followed."""

    def __init__(
        self, supervisor: HealthSupervisor, engine: Engine, pump: EventPump, monitored: Sequence[str]
    ) -> None:
        self._supervisor = supervisor
        self._probes = ProbeRunner(supervisor.report_probe, _log)
        oda = Probe(Component(ODA), lambda: _check_oda(engine), _ODA_PERIOD_SECS, _ODA_TIMEOUT_SECS)
        for probe in (
            Probe(Component(FORK_SERVER), lambda: check_fork_server(engine.context), _PERIOD_SECS),
            Probe(Component(EVENT_PUMP), lambda: check_pump(pump), _PERIOD_SECS),
            Probe(Component(HISTORY), lambda: _check_history(engine), _SILENT_SECS),
            Probe(Component(PROCESSES), lambda: _check_processes(engine), _PERIOD_SECS),
            oda,
        ):
            self._supervisor.expect(probe.component)
            self._probes.add(probe)
        self._history = engine.history
        self._monitored = monitored
        self._devices = MonitoredDevices(monitored, supervisor)

    def start(self) -> None:
        """Begin to check."""
        self._history.on_health = partial(self._probes.request, HISTORY)
        self._probes.start()
        self._devices.start()

    def stop(self) -> None:
        """End the checks and their threads."""
        self._history.on_health = lambda: None
        self._devices.stop()
        self._probes.stop()
        for name in self._monitored:
            self._supervisor.update_subsystems_healthinfo(name, None)

    def devices(self) -> dict[str, bool]:
        """Return for each monitored device whether it replies."""
        known = self._supervisor.components()
        return {
            name: name in known and not known[name].pending and not is_silent(known[name])
            for name in self._monitored
        }


def check_fork_server(context: MainContext) -> Checked:
    """Run a script that does nothing, and see it end."""
    trial = Trial(context)
    proc = trial.proc
    try:
        status = proc.exited.result(_WORKER_SECS)
    except FutureTimeoutError:
        proc.full_stop(0.0)
        if context.down_for > _START_SECS:
            return HealthState.FAILED, "scripts cannot be started: the fork server does not start up"
        if not context.ready:
            return HealthState.UNKNOWN, "the fork server is starting up"
        return HealthState.FAILED, f"scripts cannot be started: no worker was ready in {_WORKER_SECS} s"
    problem = trial.problem(status)
    if problem is not None:
        return HealthState.FAILED, f"scripts cannot be started: {problem}"
    return HealthState.OK, None


def check_pump(pump: EventPump) -> Checked:
    """See whether events leave in time, and whether subscribers have the newest of each attribute."""
    lag, failing = pump.lag, sorted(pump.failing)
    if lag >= _LAG_SECS:
        health = HealthState.DEGRADED if lag < _STUCK_SECS else HealthState.FAILED
        return health, f"events are pushed {lag:.0f} s late; {pump.backlog} are waiting"
    if failing:
        stale = f"subscribers have an old value of {', '.join(failing)}"
        return HealthState.DEGRADED, f"{stale}: events pushed in vain so far: {pump.dropped}"
    return HealthState.OK, None


def _check_processes(engine: Engine) -> Checked:
    now = time.time()
    late = {
        number: remains for number, remains in engine.remains().items() if now - remains.since > _DEATH_SECS
    }
    if not late:
        return HealthState.OK, None
    described = (
        f"{' and '.join(map(describe, sorted(r.pids)))} of procedure {number}, killed at {_clock(r.since)}"
        for number, r in sorted(late.items())
    )
    return HealthState.DEGRADED, f"the operating system does not end {'; '.join(described)}"


def _clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _check_history(engine: Engine) -> Checked:
    problem = engine.history.health()
    return (HealthState.OK, None) if problem is None else (HealthState.DEGRADED, problem)


def _check_oda(engine: Engine) -> Checked:
    try:
        engine.oda.check()
    except OetError as error:
        return HealthState.FAILED, f"activities cannot be run: {error}"
    return HealthState.OK, None
