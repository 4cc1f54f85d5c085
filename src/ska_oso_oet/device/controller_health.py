"""The health of the controller: which parts it is made of, and how each is checked."""

from __future__ import annotations

import logging
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.device.monitored_devices import MonitoredDevices
from ska_oso_oet.errors import OetError
from ska_oso_oet.health import (
    Component,
    HealthEvaluationPolicy,
    HealthStateModel,
    HealthSupervisor,
    Probe,
    ProbeRunner,
)
from ska_oso_oet.ska.control_model import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.device.engine import Engine
    from ska_oso_oet.mptools import EventMessage, ExitStatus, MainContext, Proc
    from ska_oso_oet.mptools.pipes import Stream
    from ska_oso_oet.ska.event_pump import EventPump

FORK_SERVER: Final = "fork server"
EVENT_PUMP: Final = "event pump"
ODA: Final = "ODA"
HISTORY: Final = "history"

Verdict = tuple[HealthState, str | None]
_WORKER: Final = "ska_oso_oet.mptools.worker:ProcWorker"
_WORKER_SECS: Final = 1.2
_PERIOD_SECS: Final = 3.5
"""With the time that a worker is given, a fault is known within 5 s; more often would cost idle CPU."""
_ODA_PERIOD_SECS: Final = 5.0
_ODA_TIMEOUT_SECS: Final = 12.0
"""Longer than the store's own timeouts, so that its reason is told rather than that there was none."""
_LAG_SECS: Final = 1.0
_STUCK_SECS: Final = 5.0
_log = logging.getLogger(__name__)


class ControllerHealth:
    """Supervises the parts of the controller and the devices that it depends on, from `start` to `stop`.

    `publish(attribute, value)` gets healthState (a HealthState) and healthInfo (a dict) on a thread of this
    object. `critical` names the parts without which the controller cannot do its work.
    """

    def __init__(
        self,
        device_name: str,
        engine: Engine,
        pump: EventPump,
        critical: Sequence[str],
        monitored: Sequence[str],
        publish: Callable[[str, Any], None],
    ) -> None:
        self._supervisor = HealthSupervisor(
            model=HealthStateModel(device_name),
            update_attribute=publish,
            policy=HealthEvaluationPolicy(weights=dict.fromkeys(critical, 1)),
            logger=_log,
        )
        self._probes = ProbeRunner(self._supervisor.report_probe, _log)
        oda = Probe(Component(ODA), lambda: _check_oda(engine), _ODA_PERIOD_SECS, _ODA_TIMEOUT_SECS)
        for probe in (
            Probe(Component(FORK_SERVER), lambda: check_fork_server(engine.context), _PERIOD_SECS),
            Probe(Component(EVENT_PUMP), lambda: _check_pump(pump), _PERIOD_SECS),
            Probe(Component(HISTORY), lambda: _check_history(engine), _PERIOD_SECS),
            oda,
        ):
            self._supervisor.expect(probe.component)
            self._probes.add(probe)
        self._devices = MonitoredDevices(monitored, self._supervisor)

    def start(self) -> None:
        """Begin to check."""
        self._supervisor.start()
        self._probes.start()
        self._devices.start()

    def stop(self) -> None:
        """End the checks and their threads."""
        self._devices.stop()
        self._probes.stop()
        self._supervisor.stop()


class _Unheard:
    """A listener of a worker whose end is all that matters."""

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Ignore a message."""

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Ignore output."""

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Ignore the end, which `Proc.exited` tells as well."""


def check_fork_server(context: MainContext) -> Verdict:
    """Start a worker that has nothing to do, and see it end."""
    proc = context.Proc("health check", _WORKER, listener=_Unheard())
    try:
        status = proc.exited.result(_WORKER_SECS)
    except FutureTimeoutError:
        proc.full_stop(0.0)
        if not context.ready:
            return HealthState.UNKNOWN, "the fork server is starting up"
        return HealthState.FAILED, f"scripts cannot be started: no worker was ready in {_WORKER_SECS} s"
    if status.error is not None or status.code != 0:
        why = status.error or f"a worker ended with code {status.code}, signal {status.signal}"
        return HealthState.FAILED, f"scripts cannot be started: {why}"
    return HealthState.OK, None


def _check_pump(pump: EventPump) -> Verdict:
    lag = pump.lag
    if lag < _LAG_SECS:
        return HealthState.OK, None
    health = HealthState.DEGRADED if lag < _STUCK_SECS else HealthState.FAILED
    return health, f"events are told {lag:.0f} s late; {pump.backlog} are waiting"


def _check_history(engine: Engine) -> Verdict:
    problem = engine.history.health()
    return (HealthState.OK, None) if problem is None else (HealthState.DEGRADED, problem)


def _check_oda(engine: Engine) -> Verdict:
    try:
        engine.oda.check()
    except OetError as error:
        return HealthState.FAILED, f"activities cannot be run: {error}"
    return HealthState.OK, None
