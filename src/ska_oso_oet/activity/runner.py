"""ActivityRunner has the rules of activities: what it asks of procedures, and what it reports.

Everything here happens on one thread, one thing after another; ActivityService owns that thread.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from ska_oso_oet.activity.domain import FOLLOWS, SBI_ID, ActivityState, steps
from ska_oso_oet.errors import NotReady, OetError
from ska_oso_oet.procedure.commands import (
    PrepareProcessCommand,
    StartProcessCommand,
    StopProcessCommand,
)
from ska_oso_oet.procedure.domain import ProcedureState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ska_oso_oet.activity.domain import Activity, ActivitySummary
    from ska_oso_oet.activity.preparation import Preparation, SBFiles
    from ska_oso_oet.procedure.domain import ProcedureSummary

LOGGER = logging.getLogger(__name__)
MSG_SRC: Final = "ActivityService"

_OBSERVATION: Final = "sb.lifecycle.observation."
_STARTED: Final = f"{_OBSERVATION}started"
_FAILED: Final = f"{_OBSERVATION}finished.failed"


class Procedures(Protocol):
    """What activities need of the procedure side. Every call returns at once; outcomes are events."""

    def prepare(
        self,
        command: PrepareProcessCommand,
        command_id: str | None,
        requester: str | None,
        /,
        *,
        offered: Sequence[str],
    ) -> ProcedureSummary:
        """Create a procedure; raises OetError where it is refused.

        Arguments of main that are `offered` are passed only to a main that has such parameters.
        """

    def start(self, command: StartProcessCommand, command_id: str | None, /) -> object:
        """Call the `main` of a READY procedure; raises OetError where it is refused."""

    def stop(self, command: StopProcessCommand, /) -> object:
        """Stop a procedure; raises OetError where there is nothing to stop."""


class Publish(Protocol):
    """EventBus.publish, as far as activities need it."""

    def __call__(
        self,
        topic: str,
        msg_src: str,
        data: Mapping[str, Any],
        *,
        request_id: str | None = None,
        subject: object = None,
    ) -> object:
        """Publish an event."""


class ActivityRunner:
    """Takes activities from REQUESTED to their end by following their procedures."""

    def __init__(
        self,
        procedures: Procedures,
        publish: Publish,
        announce: Callable[[ActivitySummary], None],
        forget: Callable[[int], None],
        files: SBFiles,
        list_length: int,
    ) -> None:
        self._procedures = procedures
        self._publish = publish
        self._announce = announce
        self._forget = forget
        self._files = files
        self._list_length = list_length
        self._activities: dict[int, Activity] = {}
        self._by_procedure: dict[int, Activity] = {}
        self._preparations: dict[int, Preparation] = {}
        self._observing: dict[int, Mapping[str, Any]] = {}
        self._finished: deque[Activity] = deque()

    # ---------------------------------------------------------------- requests
    def accept(self, activity: Activity) -> None:
        """Accept a new activity and announce it."""
        self._activities[activity.id] = activity
        self._publish_of(activity.summary(), "request.activity.run", {"cmd": activity.command.to_dict()})
        self._announce_state(activity)

    def launch(self, activity_id: int, preparation: Preparation, now: float) -> None:
        """Have the script prepared, unless the activity was stopped meanwhile."""
        activity = self._activities.get(activity_id)
        if activity is None or activity.state.final:
            self._files.remove(preparation.sb_file)
            return
        self._preparations[activity.id] = preparation
        activity.sbd_version, activity.sbi_id = preparation.sbd_version, preparation.sbi_id
        activity.script_args = preparation.command.script_args
        with self._failing(activity, now):
            command_id, requester = activity.command_id, activity.requester
            summary = self._procedures.prepare(preparation.command, command_id, requester, offered=(SBI_ID,))
            activity.procedure_id = summary.id
            self._by_procedure[summary.id] = activity
            self.on_procedure_created(summary)

    def fail(self, activity_id: int, message: str, now: float) -> None:
        """End an activity that could not be prepared."""
        activity = self._activities.get(activity_id)
        if activity is not None:
            self._enter(activity, ActivityState.FAILED, now, message)

    def stop(self, activity_id: int, message: str, now: float) -> None:
        """Stop an activity: at once where it has no procedure yet, else by stopping its procedure."""
        activity = self._activities.get(activity_id)
        if activity is None or activity.state.final:
            return
        if activity.procedure_id is None:
            self._enter(activity, ActivityState.STOPPED, now, message)
        else:
            self._stop_procedure(activity.procedure_id)

    def end_all(self, message: str, now: float) -> None:
        """End what has not ended, and remove the files of all."""
        for activity in list(self._activities.values()):
            self._enter(activity, ActivityState.STOPPED, now, message)
            if preparation := self._preparations.pop(activity.id, None):
                self._files.remove(preparation.sb_file)

    # ---------------------------------------------------------------- procedures
    def follow(self, procedure: ProcedureSummary, now: float) -> None:
        """Follow a change of any procedure."""
        if procedure.state is ProcedureState.READY:
            self.on_procedure_ready(procedure, now)
        elif procedure.state in FOLLOWS:
            self.on_procedure_changed(procedure, now)

    def on_procedure_created(self, procedure: ProcedureSummary) -> None:
        """Link a procedure to the activity that asked for it, and announce its id."""
        self._announce(self._by_procedure[procedure.id].summary())

    def on_procedure_ready(self, procedure: ProcedureSummary, now: float) -> None:
        """Run a script whose `init` has returned; a prepare_only activity waits in PREPARED."""
        activity = self._by_procedure.get(procedure.id)
        if activity is not None and activity.state is ActivityState.REQUESTED:
            self.complete_run_activity(procedure, now)

    def complete_run_activity(self, procedure: ProcedureSummary, now: float) -> ActivitySummary | None:
        """Enter PREPARED and, unless the activity is prepare_only, start its procedure.

        Returns None for a procedure that belongs to no activity.
        """
        activity = self._by_procedure.get(procedure.id)
        if activity is None:
            return None
        self._enter(activity, ActivityState.PREPARED, now)
        if not activity.command.prepare_only and activity.state is ActivityState.PREPARED:
            # Not READY any more: someone else has started or stopped it, and its events show that.
            with self._failing(activity, now), suppress(NotReady):
                self._procedures.start(StartProcessCommand(procedure_id=procedure.id), activity.command_id)
        return activity.summary()

    def on_procedure_changed(self, procedure: ProcedureSummary, now: float) -> None:
        """Follow a procedure that runs or has ended."""
        activity = self._by_procedure.get(procedure.id)
        if activity is not None and not activity.state.final:
            activity.script_args = procedure.script_args  # whoever started it may have chosen others
            state = FOLLOWS[procedure.state]
            self._enter(activity, state, now, _reason(procedure) if state.final else None)

    def on_script_event(self, procedure_id: int, topic: str, data: Mapping[str, Any]) -> None:
        """Remember whether a script is observing, by what it publishes about its Scheduling Block."""
        activity = self._by_procedure.get(procedure_id)
        if activity is None or activity.state.final or not topic.startswith(_OBSERVATION):
            return
        if topic == _STARTED:
            self._observing[activity.id] = {"sb_id": data.get("sb_id", activity.command.sbd_id)}
        else:
            self._observing.pop(activity.id, None)

    # ---------------------------------------------------------------- changes
    def _enter(self, activity: Activity, to: ActivityState, now: float, message: str | None = None) -> None:
        path = steps(activity.state, to)
        for state in path:
            activity.message = message if state is to else None
            activity.advance(state, now)
            self._announce_state(activity)
        if path and activity.state.final:
            self._end_observation(activity)
            self._finished.append(activity)
            self._trim()

    def _end_observation(self, activity: Activity) -> None:
        """Publish for a script what it could not: the observation that it had started has failed."""
        started = self._observing.pop(activity.id, None)
        if started is not None and activity.state is not ActivityState.COMPLETE:
            self._publish_of(activity.summary(), _FAILED, started)

    def _announce_state(self, activity: Activity) -> None:
        summary = activity.summary()
        self._announce(summary)
        self.publish_state(summary)

    def publish_state(self, summary: ActivitySummary) -> None:
        """Publish the state that an activity has entered, in this run or as the last one was lost."""
        result = summary.to_dict()
        change = {"new_state": summary.state.value, "result": result}
        self._publish_of(summary, "activity.lifecycle.statechange", change, summary)
        if summary.state is ActivityState.RUNNING:
            self._publish_of(summary, "activity.lifecycle.running", {"result": result}, summary)

    def _publish_of(
        self, summary: ActivitySummary, topic: str, data: Mapping[str, Any], subject: object = None
    ) -> None:
        try:
            self._publish(topic, MSG_SRC, data, request_id=summary.command_id, subject=subject)
        except Exception:  # whoever cannot listen must not keep an activity from going on
            LOGGER.exception("Event %s of activity %d was not published", topic, summary.id)

    def _trim(self) -> None:
        """Forget the activities that ended first, and remove their files."""
        while len(self._finished) > self._list_length:
            activity = self._finished.popleft()
            del self._activities[activity.id]
            if activity.procedure_id is not None:
                self._by_procedure.pop(activity.procedure_id, None)
            if preparation := self._preparations.pop(activity.id, None):
                self._files.remove(preparation.sb_file)
            self._forget(activity.id)

    @contextmanager
    def _failing(self, activity: Activity, now: float) -> Iterator[None]:
        """Have the activity fail when the procedure side refuses, and leave no live procedure behind."""
        try:
            yield
        except OetError as error:
            message = str(error)
        except Exception as error:
            LOGGER.exception("Activity %d", activity.id)
            message = f"{type(error).__name__}: {error}"
        else:
            return
        self._enter(activity, ActivityState.FAILED, now, message)
        if activity.procedure_id is not None:
            self._stop_procedure(activity.procedure_id)

    def _stop_procedure(self, procedure_id: int) -> None:
        try:
            self._procedures.stop(StopProcessCommand(procedure_id=procedure_id, run_abort=False))
        except OetError as error:
            LOGGER.info("Procedure %d was not stopped: %s", procedure_id, error)


def _reason(procedure: ProcedureSummary) -> str | None:
    if procedure.state is ProcedureState.COMPLETE:
        return None
    message = procedure.exit.message if procedure.exit else None
    return message or f"procedure {procedure.id} is {procedure.state}"
