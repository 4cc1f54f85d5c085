"""Requests of OETClient about activities, the history and the status are in the classes of this module."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from ska_oso_oet.activity.domain import ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.client.inbox import QUIET_TIME, Deadline, Patience
from ska_oso_oet.client.waiting import ACTIVITIES
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, Pruned, PruneQuery
from ska_oso_oet.oda.desk import SBDefinitionQuery, SBInstanceQuery, SBInstancesQuery
from ska_oso_oet.oda.sbdefinition import SBDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Unpack

    from ska_oso_oet.client.port import Controller
    from ska_oso_oet.client.requests import ActivityOptions
    from ska_oso_oet.oda.desk import (
        SBDefinitionList,
        SBInstanceList,
        StoredSBDefinition,
        StoredSBInstance,
    )


class Calls:
    """Requests to one controller."""

    _controller: Controller

    def until(self, timeout: float | Deadline | None) -> Self:
        """Return this client with a bound for all that it does: each reply comes in time, or not at all.

        A controller or database that is halted is ControllerUnreachable then. They share one connection.
        """
        bounded = copy.copy(self)
        bounded._controller = self._controller.until(Deadline.of(timeout))  # noqa: SLF001 - of this class
        return bounded


class ActivityCalls(Calls):
    """Running and watching the activities of Scheduling Blocks."""

    def run_activity(
        self, activity_name: str, sbd_id: str, **options: Unpack[ActivityOptions]
    ) -> ActivitySummary:
        """Run an activity of a Scheduling Block; returns when the request is accepted.

        `options` may be sbd_version (the newest by default), prepare_only, create_env and script_args:
        keyword arguments by function, `{"init": {"kwargs": {…}}, "main": {"kwargs": {…}}}`. Whether the
        Scheduling Block has such an activity is found out later: if not, the activity is FAILED.
        """
        request = {"activity_name": activity_name, "sbd_id": sbd_id, **options}
        return self._controller.run_activity(ActivityCommand.parse(request))

    def wait_activity(
        self,
        activity_id: int,
        states: Collection[ActivityState] = (),
        timeout: float | Deadline | None = None,
    ) -> ActivitySummary:
        """Wait until an activity has entered one of `states`, or has ended; raises as `wait` does."""
        deadline = Deadline.of(timeout)
        return ACTIVITIES.wait(self._controller.until(deadline), activity_id, states, deadline)

    def wait_activity_procedure(
        self, activity_id: int, timeout: float | Deadline | None = None
    ) -> ActivitySummary:
        """Wait until an activity has a procedure, or has ended; raises as `wait` does."""
        deadline = Deadline.of(timeout)
        controller = self._controller.until(deadline)
        return ACTIVITIES.wait_until(controller, activity_id, _has_procedure, deadline)

    def list_activities(self) -> Sequence[ActivitySummary]:
        """List every live activity and the newest finished ones, oldest first."""
        return self._controller.listed(ACTIVITIES)

    def describe_activity(self, activity_id: int = 0) -> ActivitySummary:
        """Describe an activity; 0 is the newest one."""
        return ACTIVITIES.describe(self._controller, activity_id)

    def refresh_activity(self, known: ActivitySummary) -> ActivitySummary:
        """Describe an activity again; ActivityNotFound also when its number means another one by now."""
        return ACTIVITIES.refresh(self._controller, known)


class SchedulingBlockCalls(Calls):
    """The Scheduling Blocks in the controller's ODA, and what was executed of them."""

    def add_sbd(
        self, document: SBDefinition | str | bytes | Mapping[str, Any], author: str | None = None
    ) -> StoredSBDefinition:
        """Store an SBDefinition; one without a version becomes the next version.

        `author` is for such a one that names nobody. Raises InvalidArgument, and Rejected where another
        document is stored as this version.
        """
        sbd = document if isinstance(document, SBDefinition) else SBDefinition.submitted(document)
        return self._controller.add_sbd(sbd if author is None else sbd.by(author))

    def list_sbds(self) -> SBDefinitionList:
        """List the newest version of every SBDefinition, by id."""
        return self._controller.sbds()

    def sbd(self, sbd_id: str, version: int | None = None) -> StoredSBDefinition:
        """Read an SBDefinition, by default its newest version; raises NotFound."""
        return self._controller.sbd(SBDefinitionQuery.parse({"sbd_id": sbd_id, "version": version}))

    def list_sbis(self, query: SBInstancesQuery | None = None) -> SBInstanceList:
        """List SBInstances, newest first, a page at a time."""
        return self._controller.sbis(query or SBInstancesQuery())

    def sbi(self, sbi_id: str) -> StoredSBInstance:
        """Read an SBInstance; raises NotFound."""
        return self._controller.sbi(SBInstanceQuery.parse({"sbi_id": sbi_id}))


def _has_procedure(activity: ActivitySummary) -> bool:
    return activity.procedure_id is not None or activity.state.final


class HistoryCalls(Calls):
    """Looking at and pruning the history."""

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """List procedures of this and earlier runs of the controller, newest first, a page at a time."""
        return self._controller.history(query or HistoryQuery())

    def prune_history(
        self,
        *,
        older_than: float | None = None,
        keep: int | None = None,
        timeout: float | Deadline | None = None,
    ) -> Pruned:
        """Delete what has ended from the history, and wait until it is gone.

        What ended less than `older_than` seconds ago stays, and so do the newest `keep` procedures and
        activities; one of the two is required.
        """
        query = PruneQuery.parse({"older_than": older_than, "keep": keep})
        deadline = Deadline.of(timeout)
        return self._controller.until(deadline).prune(query, deadline)


class StatusCalls(Calls):
    """How the controller fares."""

    def status(self) -> dict[str, Any]:
        """Read state, health, who holds which subarray and what there is, as GetStatus returns it."""
        return self._controller.status()

    def settings(self) -> dict[str, Any]:
        """List the settings in effect and where each comes from, as GetSettings returns it."""
        return self._controller.settings()

    def wait_ready(
        self, timeout: float | Deadline | None = None, on_reason: Callable[[str], None] = lambda _: None
    ) -> dict[str, Any]:
        """Wait until scripts can be started, and return the status then.

        It is returned as well once the controller is in FAULT, of which no waiting helps. `on_reason` is
        called with why they cannot be started, each time that this changes. Raises WaitTimeout after
        `timeout` seconds.
        """
        deadline, patience, shown = Deadline.of(timeout), Patience(), ""
        controller = self._controller.until(deadline)
        with controller.readiness_changes() as inbox:
            while True:
                status = patience.ask(controller.status)
                if status is not None and (status["ready"] or status["state"] == "FAULT"):
                    return status
                why = "the controller is away" if status is None else str(status["why_not_ready"])
                deadline.check(f"scripts cannot be started ({why})")
                if why != shown:
                    on_reason(why)
                    shown = why
                inbox.get(deadline.at_most(QUIET_TIME))
