"""ActivityService is the one door to activities, for any thread."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field

from ska_oso_oet.activity.domain import Activity, ActivityCommand, ActivitySummary
from ska_oso_oet.activity.preparation import Preparer, SBFiles
from ska_oso_oet.activity.runner import ActivityRunner, Procedures, Publish
from ska_oso_oet.errors import ActivityNotFound, OetError, Rejected
from ska_oso_oet.models import Model
from ska_oso_oet.oda.document import telescope_name
from ska_oso_oet.procedure.changes import ProcedureChange, ScriptEvent
from ska_oso_oet.procedure.earlier import EarlierRuns
from ska_oso_oet.procedure.subarrays import ALL, Subarrays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.oda.sbdefinition import SBDefinition
    from ska_oso_oet.oda.store import Oda
    from ska_oso_oet.procedure.domain import ProcedureSummary

__all__ = ["ActivityService", "ActivitySettings", "Procedures", "Publish"]

LOGGER = logging.getLogger(__name__)
_ODA_THREADS: Final = 16
"""Activities that wait for the ODA at the same time: one for each subarray of SKA-Mid."""
_CLOSING: Final = "the OET is shutting down"


class ActivitySettings(Model):
    """Which telescope activities may be for, where scripts find their Scheduling Block, and the memory.

    `sb_dir` must be this controller's alone. Only `subarrays` are commanded. `list_length` is how many
    ended activities are kept.
    """

    sb_dir: Path
    telescope: Annotated[str, AfterValidator(telescope_name)] = "skamid"
    list_length: int = Field(default=10, ge=0)
    subarrays: Subarrays = ALL


class ActivityService:
    """Runs scripts that are referenced by activities of Scheduling Blocks.

    Every method returns at once, but `close`. The ODA is used on threads of this service's own, and
    everything else happens on one more, in order: `announce` gets the summary of every change of an
    activity there, and `publish` and `procedures` are called there.
    """

    def __init__(
        self,
        oda: Oda,
        procedures: Procedures,
        publish: Publish,
        announce: Callable[[ActivitySummary], None],
        settings: ActivitySettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = SBFiles(settings.sb_dir)
        self._preparer = Preparer(oda, self._files, settings.telescope, settings.subarrays)
        self._runner = ActivityRunner(
            procedures, publish, self._record, self._forget, self._files, settings.list_length
        )
        self._subarrays = settings.subarrays
        self._announce = announce
        self._clock = clock
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = False
        self._summaries: dict[int, ActivitySummary] = {}
        self._earlier = EarlierRuns[ActivitySummary](settings.list_length)
        self._mailbox = ThreadPoolExecutor(1, thread_name_prefix="activities")
        self._oda_pool = ThreadPoolExecutor(_ODA_THREADS, thread_name_prefix="oda")

    def number_from(self, first: int) -> None:
        """Count ids of activities from `first` on; to be called before the first one is made."""
        self._ids = itertools.count(first)

    def remember(self, ended: Sequence[ActivitySummary]) -> None:
        """List the newest activities of earlier runs, oldest first, until newer ones replace them."""
        with self._lock:
            self._earlier.remember(ended)

    def announce_lost(self, lost: Sequence[ActivitySummary]) -> None:
        """Announce activities that have FAILED as the controller that ran them was lost."""
        for summary in lost:
            self._post(self._on_lost, summary)

    def prepare_run_activity(
        self, command: ActivityCommand, request_id: str | None = None, requester: str | None = None
    ) -> ActivitySummary:
        """Begin to run an activity; it is listed, in state REQUESTED, when this returns.

        Its later states are announced. `request_id` becomes the `command_id` of the activity and of its
        procedure, and `requester` is who asked for both. Raises Rejected when the service is closed, and for
        a subarray that is not for this controller.
        """
        self._subarrays.check(command.script_args.subarrays)
        with self._lock:
            if self._closed:
                raise Rejected(_CLOSING)
            activity = Activity(next(self._ids), command, self._clock(), request_id, requester)
            summary = activity.summary()
            self._summaries[activity.id] = summary
            self._mailbox.submit(self._step, self._runner.accept, activity)
            self._oda_pool.submit(self._prepare, activity.id, command)
        return summary

    def summarise(self, activity_ids: Sequence[int] | None = None) -> list[ActivitySummary]:
        """Describe the activities of this run with these ids, without ids all that are listed; oldest first.

        An id that is not known is left out.
        """
        with self._lock:
            summaries = dict(self._summaries)
            if activity_ids is None:
                return self._earlier.before(summaries.values())
        return [summaries[activity_id] for activity_id in sorted(set(activity_ids) & summaries.keys())]

    def stop_activity(self, activity_id: int, message: str = "stopped on request") -> None:
        """Stop an activity; its end is announced. One that has ended stays as it is.

        Raises ActivityNotFound.
        """
        if not self.summarise([activity_id]):
            raise ActivityNotFound(f"there is no activity {activity_id}, or it has left the list")
        self._post(self._runner.stop, activity_id, message, self._clock())

    def abandon(self, command_id: str) -> None:
        """Stop the live activity that a command has requested, if there is one."""
        with self._lock:
            requested = [each.id for each in self._summaries.values() if each.command_id == command_id]
        for activity_id in requested:
            self.stop_activity(activity_id, "aborted")

    def listen(self, bus: EventBus) -> None:
        """Follow procedures and what their scripts publish; before the first event."""
        bus.follow(ProcedureChange, lambda change, _: self.on_procedure_changed(change.summary))
        bus.follow(
            ScriptEvent,
            lambda script, event: self.on_script_event(script.procedure_id, event.topic, script.arguments),
        )

    def on_procedure_changed(self, procedure: ProcedureSummary) -> None:
        """Follow a procedure; each change of every procedure comes here, in order."""
        self._post(self._runner.follow, procedure, self._clock())

    def on_script_event(self, procedure_id: int, topic: str, data: Mapping[str, Any]) -> None:
        """Follow what a script publishes about its Scheduling Block.

        A script announces the start and the end of an observation itself. Where it was killed in between,
        the end is announced for it.
        """
        if topic.startswith("sb."):
            self._post(self._runner.on_script_event, procedure_id, topic, dict(data))

    def write_sbd_to_file(self, sbd: SBDefinition) -> str:
        """Write a Scheduling Block where scripts find theirs, and return the path."""
        return str(self._files.write(sbd, self._clock()))

    def close(self) -> None:
        """End every activity, remove their files and stop the threads; procedures are left alone.

        Waits for calls of the ODA that are under way, for as long as the ODA's timeouts allow.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._oda_pool.shutdown(cancel_futures=True)
        self._mailbox.submit(self._step, self._runner.end_all, _CLOSING, self._clock())
        self._mailbox.shutdown()

    # ---------------------------------------------------------------- on the ODA's threads
    def _prepare(self, activity_id: int, command: ActivityCommand) -> None:
        try:
            preparation = self._preparer.prepare(command, self._clock())
        except OetError as error:
            self._post(self._runner.fail, activity_id, str(error), self._clock())
        except Exception as error:
            LOGGER.exception("Activity %d cannot be prepared", activity_id)
            message = f"{type(error).__name__}: {error}"
            self._post(self._runner.fail, activity_id, message, self._clock())
        else:
            if not self._post(self._runner.launch, activity_id, preparation, self._clock()):
                self._files.remove(preparation.sb_file)

    # ---------------------------------------------------------------- on the service's thread
    def _post(self, action: Callable[..., object], *arguments: Any) -> bool:
        """Have `action` called in its turn; False when the service is closed."""
        with self._lock:
            if not self._closed:
                self._mailbox.submit(self._step, action, *arguments)
            return not self._closed

    def _step(self, action: Callable[..., object], *arguments: Any) -> None:
        try:
            action(*arguments)
        except Exception:
            LOGGER.exception("An activity could not take a step")

    def _record(self, summary: ActivitySummary) -> None:
        with self._lock:
            self._summaries[summary.id] = summary
        self._announce_change(summary)

    def _on_lost(self, summary: ActivitySummary) -> None:
        self._announce_change(summary)
        self._runner.publish_state(summary)

    def _announce_change(self, summary: ActivitySummary) -> None:
        try:
            self._announce(summary)
        except Exception:  # whoever cannot listen must not keep an activity from going on
            LOGGER.exception("A change of activity %d was not announced", summary.id)

    def _forget(self, activity_id: int) -> None:
        with self._lock:
            del self._summaries[activity_id]
