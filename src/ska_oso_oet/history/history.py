"""History is the durable record of the controller's procedures and activities, from one start to the next."""

from __future__ import annotations

import logging
import platform
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from ska_oso_oet import __version__
from ska_oso_oet.errors import ActivityNotFound, HistoryUnavailable, ProcedureNotFound
from ska_oso_oet.history.backlog import Backlog, Request
from ska_oso_oet.history.claim import HistoryInUse
from ska_oso_oet.history.damage import Damage
from ska_oso_oet.history.database import HistoryDatabase, parse_url
from ska_oso_oet.history.errors import STORE_ERRORS
from ska_oso_oet.history.landmarks import is_landmark
from ska_oso_oet.history.pruning import prune
from ska_oso_oet.history.reader import HistoryReader, output_json
from ska_oso_oet.history.store import HistoryStore, Recovery, Run
from ska_oso_oet.history.writer import HistoryWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.history.queries import HistoryQuery, Pruned, PruneQuery

_log = logging.getLogger(__name__)
STOP_SECS: Final = 3.0
"""How long a stop tries to write what is not written yet."""


class History:
    """Records what the bus is going to announce, and lets it be read. Implements Recorder.

    Where the database cannot be used at the start, `on_recovered` is called later with what else `start`
    returns, on a thread of the history's. `newest` is how many of those that have ended are part of it.
    """

    def __init__(
        self,
        url: str,
        epoch: str,
        on_recovered: Callable[[Recovery], None],
        *,
        newest: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._run = Run(epoch, clock(), platform.node(), __version__)
        self._on_recovered = on_recovered
        self._newest = newest
        self._database = HistoryDatabase(parse_url(url))
        self.on_health: Callable[[], None] = lambda: None
        """Called when what `health` returns has changed, on any thread with no lock held; to be set by one.

        Two things are reported only to the caller of `health`: a database that does not reply, and
        a file that is deleted while nothing is written.
        """
        self._reporting = threading.Lock()
        self._reported: str | None = None
        self._damage = Damage(self._database.name, self._report_health)
        self._store = HistoryStore(self._database, self._damage)
        self._reader = HistoryReader(self._database, self._damage)
        self._backlog = Backlog(epoch)
        self._writer = HistoryWriter(
            self._database, self._store, self._backlog, self._prepare, self._report_health
        )
        # Beyond all that are in use, if it cannot be known which those are.
        self.first_procedure_id = self.first_activity_id = int(self._run.started)

    # ------------------------------------------------------------ life

    def start(self) -> Recovery | None:
        """Open the database, recover what was lost, and begin to write.

        Returns what a run before this one had left alive, now FAILED: it is for the caller to announce. A
        database that cannot be used now, whatever the reason, is used later.
        """
        problem = recovery = None
        try:
            recovery = self._open()
        except STORE_ERRORS as error:
            problem = str(self._database.unavailable(error))
            _log.error("%s", problem)
            if not isinstance(error, HistoryInUse):  # its user goes on from the ids that are there
                self._read_ids()
        else:
            self.first_procedure_id = recovery.first_procedure_id
            self.first_activity_id = recovery.first_activity_id
        self._writer.start(prepared=problem is None, problem=problem)
        return recovery

    def stop(self) -> bool:
        """Write what was announced, note that this run has ended, and close; False if something is lost."""
        clean = self._writer.stop(STOP_SECS, self._end_run)
        if not clean:
            _log.error("The controller stops and %d changes are lost: %s", len(self._backlog), self.health())
        self._reader.close()
        self._database.close()
        return clean

    def _end_run(self) -> None:
        try:
            self._store.end_run(self._run.epoch, self._clock())
        except STORE_ERRORS as error:
            _log.warning("%s", self._database.unavailable(error, "closed"))

    def _open(self) -> Recovery:
        self._database.upgrade()
        return self._store.recover(self._clock(), self._run, self._newest)

    def _read_ids(self) -> None:
        """Find the ids to go on with in a database that can only be read."""
        for database in (self._database, self._database.frozen()):
            with suppress(SQLAlchemyError):
                self.first_procedure_id, self.first_activity_id = HistoryStore(
                    database, self._damage
                ).free_ids()
            database.close()

    def _prepare(self) -> None:
        self._on_recovered(self._open())

    # ------------------------------------------------------------ what is recorded

    def on_event(self, event: Event) -> None:
        """Record an event; returns at once, and may be called with locks held."""
        self._writer.on_event(event)

    def note_activity(self, summary: ActivitySummary) -> None:
        """Record a change of an activity before an event speaks of it; as `on_event`."""
        self._writer.note_activity(summary)

    def settle(self, event: Event | None = None) -> None:
        """Wait until what an event speaks of is stored, without one until all of this run is.

        What is published then is true after a crash, too. A store that does not reply in time is not waited
        for again until it has everything: `health` reports it.
        """
        if event is None or is_landmark(event):
            self._writer.landmarks.wait()
            self._report_health()

    def note_request(self, command_id: str, command: str, requester: str | None) -> None:
        """Note the requester of a command that was accepted."""
        self._writer.note_request(Request(command_id, command, requester, self._clock()))

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was announced is written; False if it is not in time."""
        return self._writer.flush(timeout)

    def health(self) -> str | None:
        """Return for an operator what is wrong, None when nothing is."""
        if self._database.file_is_lost:
            self._writer.submit(lambda: None)  # the next batch finds it again
        return self._problems()

    def _problems(self) -> str | None:
        found = (self._writer.health() or self._writer.gap(), self._database.note, self._damage.health())
        return "; ".join(problem for problem in found if problem) or None

    def _report_health(self) -> None:
        with self._reporting:
            before, self._reported = self._reported, self._problems()
            changed = self._reported != before
        if changed:
            self.on_health()

    def acknowledge(self) -> None:
        """Report no more what happened to the file: an operator knows it."""
        self._database.note = None
        self._report_health()

    # ------------------------------------------------------------ reading

    def describe_procedure(self, number: int) -> str:
        """Return the ProcedureSummary of any procedure that there was."""
        waiting = self._writer.waiting_procedure(number)
        if waiting is not None:
            return waiting.to_json()
        self._require_database()
        found = self._reader.procedure(number)
        if found is None:
            raise ProcedureNotFound(f"there is no procedure {number}")
        return found

    def describe_activity(self, number: int) -> str:
        """Return the ActivitySummary of any activity that there was."""
        waiting = self._writer.waiting_activity(number)
        if waiting is not None:
            return waiting.to_json()
        self._require_database()
        found = self._reader.activity(number)
        if found is None:
            raise ActivityNotFound(f"there is no activity {number}")
        return found

    def output(self, number: int, since: int) -> str:
        """Return what GetOutput does, for any procedure that there was: its newest lines."""
        self._require_database()
        found = self._reader.output(number, since)
        if found is None:
            self.describe_procedure(number)  # raises ProcedureNotFound
            return output_json(number, since, 0, [])
        return found

    def list(self, query: HistoryQuery) -> str:
        """Return what GetHistory does."""
        self._require_database()
        return self._reader.list(query)

    def _require_database(self) -> None:
        """Refuse at once while the database is known to be away: a user waits."""
        problem = self._writer.health()
        if problem is not None:
            raise HistoryUnavailable(problem)

    # ------------------------------------------------------------ pruning

    def prune(self, query: PruneQuery, done: Callable[[Pruned | Exception], None]) -> None:
        """Delete what is old; returns at once, and calls `done` on a thread of the history's."""

        def job() -> None:
            try:
                outcome: Pruned | Exception = prune(self._database, query, self._clock())
            except STORE_ERRORS as error:
                outcome = self._database.unavailable(error, "pruned")
            done(outcome)

        self._writer.submit(job)
