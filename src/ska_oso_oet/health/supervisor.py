"""The supervisor keeps the health of this device up to date."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from ska_oso_oet.health.debouncer import Debouncer
from ska_oso_oet.health.diagnostics import HealthDiagnostics
from ska_oso_oet.health.health_store import HealthStateStore
from ska_oso_oet.health.info_manager import HealthInfoManager
from ska_oso_oet.health.policy import HealthEvaluationPolicy
from ska_oso_oet.ska.control_model import AdminMode, HealthState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.health.component import Component, ComponentSnapshot
    from ska_oso_oet.health.model import HealthStateModel


class HealthSupervisor:
    """Collects what components report and publishes the health that follows, from a thread of its own.

    Bursts are gathered: an evaluation comes `debounce_s` seconds after the last event and at most
    `max_latency_s` after the first. Between events the thread sleeps. `update_attribute` gets
    ("healthInfo", {device: [messages]}) and then ("healthState", HealthState), each when it has changed,
    in order and without a lock held; both can be read from here before they are published.
    """

    def __init__(
        self,
        *,
        model: HealthStateModel,
        update_attribute: Callable[[str, Any], None],
        policy: HealthEvaluationPolicy | None = None,
        logger: logging.Logger | None = None,
        debounce_s: float = 0.4,
        max_latency_s: float = 0.7,
    ) -> None:
        self._model = model
        self._update_attribute = update_attribute
        self.evaluated: Callable[[], None] = lambda: None
        """Called after each evaluation; to be set before `start`."""
        self._policy = policy or HealthEvaluationPolicy()
        self._logger = logger or logging.getLogger(__name__)
        self._store = HealthStateStore()
        self._diagnostics = HealthDiagnostics()
        self._info = HealthInfoManager(
            device_fqdn=model.device_fqdn, callback=self._publish, logger=self._logger
        )
        self._evaluated_revision = 0
        self._wake = threading.Condition()
        self._debouncer = Debouncer(debounce_s, max_latency_s)
        self._forwarded: dict[str, Any] = {}
        self._forced = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="health supervisor", daemon=True)

    @property
    def health_state(self) -> HealthState:
        """The health of this device."""
        return self._model.health_state

    @property
    def health_state_info(self) -> dict[str, list[str]]:
        """The messages by device, this device first; a device without messages is left out."""
        return self._info.snapshot()

    def components(self) -> dict[str, ComponentSnapshot]:
        """Return the latest of every component, by name."""
        return self._store.snapshot()

    def begin(self, policy: HealthEvaluationPolicy) -> None:
        """Forget the components, and judge by `policy` those that are reported from now on."""
        self._policy = policy
        self._store.clear()
        self._schedule(immediate=True)

    def start(self) -> None:
        """Start to evaluate."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait until nothing more is published."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def expect(self, component: Component) -> None:
        """Know of a component before it reports; while a critical one has not, the health is UNKNOWN."""
        self._store.expect(self._policy.weigh(component))
        self._schedule()

    def on_subsystem_event(
        self,
        component: Component,
        *,
        health: HealthState | None = None,
        state: str | None = None,
        admin_mode: AdminMode | None = None,
        immediate: bool = False,
        message: str | None = None,
    ) -> None:
        """Note what a component reports; None is no report. What makes no sense is ignored.

        `state` is the name of a Tango state. `message` explains `health` to an operator. `immediate`
        does without the debouncing.
        """
        if health is None and state is None and admin_mode is None:
            return
        before = self._store.revision()
        try:
            after = self._store.set(
                self._policy.weigh(component),
                health=None if health is None else HealthState(health),
                state=None if state is None else str(state).upper(),
                admin_mode=None if admin_mode is None else AdminMode(admin_mode),
                message=message,
            )
        except (TypeError, ValueError) as error:
            self._logger.warning("%s: its report is ignored: %s", component.name, error)
            return
        if after != before:
            self._schedule(immediate=immediate)

    def report_probe(self, component: Component, health: HealthState, message: str | None) -> None:
        """Note the result of a probe; it has been paced already, so a change is published at once."""
        self.on_subsystem_event(component, health=health, message=message, immediate=True)

    def update_subsystems_healthinfo(self, subsystem_fqdn: str, health_info_value: Any) -> None:
        """Note the healthInfo of a device, as JSON text or dict, to forward; None forgets it."""
        with self._wake:
            self._forwarded[subsystem_fqdn] = health_info_value
        self._schedule()

    def set_faulty(self, *, faulty: bool, reason: str = "") -> None:
        """Note whether this device itself is in a fault, which makes it FAILED."""
        self._model.set_faulty(faulty=faulty, reason=reason)
        self._schedule(immediate=True, force=True)

    def set_disabled(self, *, disabled: bool, reason: str = "") -> None:
        """Note whether this device is switched out of use, which makes its health UNKNOWN."""
        self._model.set_disabled(disabled=disabled, reason=reason)
        self._schedule(immediate=True, force=True)

    def evaluate(self, *, force: bool = False) -> bool:
        """Evaluate and publish, unless nothing has changed and `force` is not set; returns whether it did.

        For the supervision thread, and for tests that do not start it.
        """
        revision = self._store.revision()
        if revision == self._evaluated_revision and not self._forwarded and not force:
            return False
        snapshot = self._store.snapshot()
        health, changed = self._model.update(self._policy.evaluate(snapshot))
        own = self._diagnostics.evaluate(snapshot, health, context=self._model.context())
        self._evaluated_revision = revision
        with self._wake:
            forwarded, self._forwarded = self._forwarded, {}
        self._info.update_health_info(own, subsystem_updates_by_source=forwarded)
        if changed:
            self._publish("healthState", health)
        self.evaluated()
        return True

    def _schedule(self, *, immediate: bool = False, force: bool = False) -> None:
        with self._wake:
            self._forced = self._forced or force
            self._debouncer.request(time.monotonic(), immediate=immediate)
            self._wake.notify_all()

    def _run(self) -> None:
        while (force := self._wait_until_due()) is not None:
            try:
                self.evaluate(force=force)
            except Exception:
                self._logger.exception("the health could not be evaluated")

    def _wait_until_due(self) -> bool | None:
        """Block until an evaluation is due; returns whether it is forced, None to end."""
        with self._wake:
            while not self._stopping and not self._debouncer.reset_if_due(time.monotonic()):
                deadline = self._debouncer.deadline
                self._wake.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            forced, self._forced = self._forced, False
            return None if self._stopping else forced

    def _publish(self, attribute: str, value: Any) -> None:
        try:
            self._update_attribute(attribute, value)
        except Exception:
            self._logger.exception("%s could not be published", attribute)
