"""ActivityInterface is the part of the controller's Tango interface that runs and shows activities."""

from __future__ import annotations

from functools import partial

from tango.server import command

from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
from ska_oso_oet.device.command_book import ActivityEntry
from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ID_DOC, LONG_STRING, ControllerInterface, json_attribute
from ska_oso_oet.device.requester import requester_of
from ska_oso_oet.errors import ActivityNotFound
from ska_oso_oet.ska.base_device import LongStringArray, allowed_when


class ActivityInterface(ControllerInterface):
    """Commands and attributes of activities."""

    activities = json_attribute("read_activities", "Live activities and the newest finished ones, as JSON")
    activityChanged = json_attribute("read_activity_changed", "The activity that changed last, as JSON")

    _newest_activity = "{}"

    def on_activity(self, summary: ActivitySummary) -> None:
        """Push a change of an activity, and end the command that it was run by, on the pump's thread."""
        journal = self.settled_engine.journal
        head = f'"epoch": "{journal.epoch}", "seq": {journal.last_seq}'
        self._newest_activity = f'{{{head}, "activity": {summary.to_json()}}}'
        self.pump.push("activityChanged", self._newest_activity)
        self.pump.coalesce("activities", self.read_activities)
        self.book.on_activity(summary)

    def read_activities(self) -> str:
        """Return what there is, with the number of an event that it contains."""
        journal = self.settled_engine.journal
        seq = journal.last_seq
        listed = ", ".join(summary.to_json() for summary in self.running_engine.activities.summarise())
        return f'{{"epoch": "{journal.epoch}", "seq": {seq}, "activities": [{listed}]}}'

    def read_activity_changed(self) -> str:
        """Return the newest change, {} before the first."""
        return self._newest_activity

    is_RunActivity_allowed = allowed_when("RunActivity")

    @command(dtype_in=str, doc_in="JSON: activity_name, sbd_id, …", dtype_out=LONG_STRING, doc_out=ID_DOC)
    def RunActivity(self, argin: str) -> LongStringArray:
        """Run an activity of a Scheduling Block; ends with its script, or once that is prepared."""
        return self.acting("RunActivity", ActivityCommand, argin, self._run)

    def _run(self, request: ActivityCommand) -> LongStringArray:
        service = self.running_engine.activities
        run = partial(service.prepare_run_activity, request, requester=requester_of(self))
        entry = partial(ActivityEntry, prepare_only=request.prepare_only)
        return self.book.run(self, "RunActivity", run, entry=entry, on_abort=service.abandon)

    @command(dtype_in="DevLong64", doc_in="activity id, 0 for the newest", dtype_out=str, doc_out="JSON")
    def DescribeActivity(self, activity_id: int) -> str:
        """Describe an activity."""
        with as_dev_failed("DescribeActivity"):
            found = self.settled_engine.activities.summarise([activity_id] if activity_id else None)
            if found:
                return found[-1].to_json()
            if activity_id:
                return self.running_engine.history.describe_activity(activity_id)
            raise ActivityNotFound("there is no activity")
