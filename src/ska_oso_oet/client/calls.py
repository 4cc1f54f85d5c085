"""What OETClient is made of: requests over a link, those about activities and those about the history."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Self

from ska_oso_oet.activity.domain import ActivityCommand, ActivityState, ActivitySummary
from ska_oso_oet.client.bounded import Bounded
from ska_oso_oet.client.inbox import QUIET_TIME, Deadline, Inbox, Patience
from ska_oso_oet.client.waiting import ACTIVITIES, wait_for_command
from ska_oso_oet.errors import ActivityNotFound, InvalidArgument, OetError, Rejected
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, Pruned, PruneQuery
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Unpack

    from ska_oso_oet.client.inbox import Connection
    from ska_oso_oet.client.requests import ActivityOptions
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.models import Model


class Calls:
    """Requests to one controller."""

    _link: Connection

    def until(self, timeout: float | Deadline | None) -> Self:
        """Give this client with a bound for all that it does: each answer comes in time, or not at all.

        A controller or database that is halted is ControllerUnreachable then. They share one connection.
        """
        bounded = copy.copy(self)
        bounded._link = self._link_until(Deadline.of(timeout))  # noqa: SLF001 - another one of this class
        return bounded

    def _link_until(self, deadline: Deadline) -> Connection:
        if deadline.timeout is None or getattr(self._link, "deadline", None) is deadline:
            return self._link
        return Bounded(self._link, deadline)

    def _submit(self, command: str, argument: Model, link: Connection | None = None) -> str:
        [[code], [answer]] = (link or self._link).command(command, argument.to_json())
        if int(code) not in {ResultCode.STARTED, ResultCode.QUEUED}:
            raise Rejected(str(answer))
        return str(answer)

    def _carry_out(self, command: str, argument: Model, deadline: Deadline) -> CommandResult:
        """Give a long running command, and wait for its end."""
        link = self._link_until(deadline)
        return wait_for_command(link, self._submit(command, argument, link), deadline)


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
        request = ActivityCommand.parse({"activity_name": activity_name, "sbd_id": sbd_id, **options})
        command_id = self._submit("RunActivity", request)
        for activity in self.list_activities():
            if activity.command_id == command_id:
                return activity
        raise ActivityNotFound(f"the activity of command {command_id} has already left the history")

    def wait_activity(
        self,
        activity_id: int,
        states: Collection[ActivityState] = (),
        timeout: float | Deadline | None = None,
    ) -> ActivitySummary:
        """Wait until an activity has entered one of `states`, or has ended; raises as `wait` does."""
        deadline = Deadline.of(timeout)
        return ACTIVITIES.wait(self._link_until(deadline), activity_id, states, deadline)

    def list_activities(self) -> Sequence[ActivitySummary]:
        """List every live activity and the newest finished ones, oldest first."""
        document = json.loads(self._link.read("activities"))
        return sorted(map(ACTIVITIES.read, document["activities"]), key=lambda item: item.id)

    def describe_activity(self, activity_id: int = 0) -> ActivitySummary:
        """Describe an activity; 0 is the newest one."""
        return ACTIVITIES.describe(self._link, activity_id)

    def refresh_activity(self, known: ActivitySummary) -> ActivitySummary:
        """Describe an activity again; ActivityNotFound also when its number means another one by now."""
        return ACTIVITIES.refresh(self._link, known)


class HistoryCalls(Calls):
    """Looking at and pruning the history."""

    def history(self, query: HistoryQuery | None = None) -> HistoryPage:
        """List procedures of this and earlier runs of the controller, newest first, a page at a time."""
        answer = self._link.command("GetHistory", (query or HistoryQuery()).to_json())
        try:
            return HistoryPage.parse(answer)
        except InvalidArgument as error:
            raise OetError(f"the controller speaks another version of this interface: {error}") from None

    def prune_history(
        self,
        *,
        older_than: float | None = None,
        keep: int | None = None,
        timeout: float | Deadline | None = None,
    ) -> Pruned:
        """Delete what has ended from the history, and wait until it is gone.

        What ended less than `older_than` seconds ago stays, and so do the newest `keep` procedures and
        activities; one of them must be given.
        """
        query = PruneQuery.parse({"older_than": older_than, "keep": keep})
        return pruned(self._carry_out("PruneHistory", query, Deadline.of(timeout)))


class StatusCalls(Calls):
    """How the controller fares."""

    def status(self) -> dict[str, Any]:
        """Tell state, health, who holds which subarray and what there is, as GetStatus answers it."""
        answer: dict[str, Any] = json.loads(self._link.command("GetStatus"))
        return answer

    def settings(self) -> dict[str, Any]:
        """List the settings in effect and where each comes from, as GetSettings answers it."""
        answer: dict[str, Any] = json.loads(self._link.command("GetSettings"))
        return answer

    def wait_ready(
        self, timeout: float | Deadline | None = None, on_reason: Callable[[str], None] = lambda _: None
    ) -> dict[str, Any]:
        """Wait until scripts can be started, and return the status then.

        It is returned as well once the controller is in FAULT, of which no waiting helps. `on_reason` is told
        why they cannot be started, each time that this changes. Raises WaitTimeout after `timeout` seconds.
        """
        deadline, patience, told = Deadline.of(timeout), Patience(), ""
        client = self.until(deadline)
        with Inbox(self._link_until(deadline), "whyNotReady") as inbox:
            while True:
                status = patience.ask(client.status)
                if status is not None and (status["ready"] or status["state"] == "FAULT"):
                    return status
                why = "the controller is away" if status is None else str(status["why_not_ready"])
                deadline.check(f"scripts cannot be started ({why})")
                if why != told:
                    on_reason(why)
                    told = why
                inbox.get(deadline.at_most(QUIET_TIME))


def pruned(result: CommandResult) -> Pruned:
    """Read the result of PruneHistory; raises OetError for a failure."""
    if result.code != ResultCode.OK:
        raise OetError(f"the history was not pruned: {result.text}")
    return Pruned.parse(result.text)
