"""HistoryWriter is the one thread that writes the history, a moment behind what is announced."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from ska_oso_oet.history.backlog import Backlog, News, Request
from ska_oso_oet.history.errors import is_of_the_store
from ska_oso_oet.history.landmarks import Landmarks, is_activity_landmark, is_landmark
from ska_oso_oet.history.writer_health import WriterHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.history.database import HistoryDatabase
    from ska_oso_oet.history.store import HistoryStore
    from ska_oso_oet.procedure.domain import ProcedureSummary

_log = logging.getLogger(__name__)
GATHER_SECS: Final = 0.005
"""From the first change to the batch that it is written with: a procedure that is created goes through most
of its states within this time, and is not slowed by the writing of the first."""
FIRST_PAUSE_SECS: Final = 0.1
LAST_PAUSE_SECS: Final = 5.0
END_SECS: Final = 1.0
"""For what the thread is doing when its time is over, and once more when its connection was broken."""


def _nothing() -> None:
    """Conclude nothing: what a run that does not end well leaves undone."""


class HistoryWriter:
    """Collects what is going to be announced, and writes it in batches.

    `landmarks` lets who announces wait for what must be stored before.

    `prepare` is called on its thread before the first batch, until it succeeds. What cannot be written stays
    in memory and is tried again after pauses that grow from FIRST_PAUSE_SECS to LAST_PAUSE_SECS. `on_pass` is
    called after each try, on its thread: `health` and `gap` may have changed.
    """

    def __init__(
        self,
        database: HistoryDatabase,
        store: HistoryStore,
        backlog: Backlog,
        prepare: Callable[[], None],
        on_pass: Callable[[], None],
    ) -> None:
        self._database = database
        self._store = store
        self._backlog = backlog
        self._prepare = prepare
        self._on_pass = on_pass
        self._prepared = False
        self.landmarks = Landmarks()
        # The lock under this condition is never held while anything outside this class runs.
        self._wake = threading.Condition(threading.Lock())
        self._news = News()
        self._jobs: deque[Callable[[], None]] = deque()
        self._deadline: float | None = None
        self._idle = True
        self._health = WriterHealth(database.name, backlog)
        self._clean = False
        self._conclude: Callable[[], None] = _nothing
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    # ------------------------------------------------------------ from any thread

    def on_event(self, event: Event) -> None:
        """Note an event; may be called with locks held."""
        with self._wake:
            if self._news.add(event):
                if is_landmark(event):
                    self.landmarks.note()
                self._have_work()

    def note_activity(self, summary: ActivitySummary) -> None:
        """Note a change of an activity before an event speaks of it."""
        with self._wake:
            self._news.activities[summary.id] = summary
            if is_activity_landmark(summary):
                self.landmarks.note()
            self._have_work()

    def note_request(self, request: Request) -> None:
        """Note the requester of a command."""
        with self._wake:
            self._news.requests.append(request)
            self._have_work()

    def submit(self, job: Callable[[], None]) -> None:
        """Have the database used on this thread, between two batches."""
        with self._wake:
            self._jobs.append(job)
            self._have_work()

    def _have_work(self) -> None:
        """Wake the thread, once for all that comes while it gathers; at once for what others wait for."""
        if self._idle or self.landmarks.urgent:
            self._idle = False
            self._wake.notify_all()

    def waiting_procedure(self, number: int) -> ProcedureSummary | None:
        """Find a procedure among what is not written yet."""
        with self._wake:
            return self._news.procedures.get(number) or self._backlog.procedures.get(number)

    def waiting_activity(self, number: int) -> ActivitySummary | None:
        """Find an activity among what is not written yet."""
        with self._wake:
            return self._news.activities.get(number) or self._backlog.activities.get(number)

    def health(self) -> str | None:
        """Return what is wrong, None when nothing is."""
        return self._health.problem()

    def gap(self) -> str | None:
        """Return that changes were published before they were stored, None when none were."""
        return self._health.late() if self.landmarks.gap and self._health.problem() is None else None

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was announced is written; False if it is not in time."""
        with self._wake:
            return self._wake.wait_for(lambda: self._idle, timeout)

    # ------------------------------------------------------------ from the owner

    def start(self, *, prepared: bool, problem: str | None = None) -> None:
        """Start the thread; `prepared` when the database is ready, else `problem` is why it is not."""
        self._prepared = prepared
        self._idle = prepared
        self.landmarks.begin()
        self._health.note(problem)
        self._on_pass()
        self._thread.start()

    def stop(self, timeout: float, conclude: Callable[[], None] | None = None) -> bool:
        """Write what was announced, end the thread, and return whether all of it is written.

        `conclude` is called on the thread when it is. A database that hangs is not waited for.
        """
        with self._wake:
            self._deadline = time.monotonic() + timeout
            self._conclude = conclude or _nothing
            self._wake.notify_all()
        self._thread.join(timeout + END_SECS)
        if self._thread.is_alive():
            self._database.abandon()
            self._thread.join(END_SECS)
        return self._clean

    # ------------------------------------------------------------ on the thread

    def _run(self) -> None:
        pause = 0.0
        while self._has_work(pause):
            pause = self._pass(pause)
            self._on_pass()
        self.landmarks.end()
        if self._idle:
            self._conclude()
            self._clean = True

    def _has_work(self, pause: float) -> bool:
        """Rest for `pause`, wait for something to do, and let more come; False at the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._deadline is not None, pause)
            if self._deadline is not None and pause:
                # Tried again until the end, but not in a busy loop.
                self._wake.wait_for(lambda: False, min(pause, FIRST_PAUSE_SECS))
            self._wake.wait_for(lambda: not self._idle or self._deadline is not None)
            self._wake.wait_for(lambda: self._deadline is not None or self.landmarks.urgent, GATHER_SECS)
            if self._deadline is None:
                return True
            return not self._idle and (not pause or time.monotonic() < self._deadline)

    def _pass(self, pause: float) -> float:
        """Write what there is; returns how long to rest, 0 when all went well."""
        with self._wake:
            news, self._news = self._news, News()
            landmarks = self.landmarks.noted
            jobs = list(self._jobs)
            # Found here from now on, while it is being written.
            self._backlog.procedures.update(news.procedures)
            self._backlog.activities.update(news.activities)
            self._health.begin()
        try:
            self._write(news)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens here
            if not is_of_the_store(error):
                _log.exception("The history could not be written")
            self._health.note(str(self._database.unavailable(error, "written")))
            self.landmarks.stop_waiting()
            return min(max(2 * pause, FIRST_PAUSE_SECS), LAST_PAUSE_SECS)
        finally:
            self._health.end()
        self.landmarks.stored(landmarks)
        for job in jobs:
            job()
        self._done(jobs)
        return 0.0

    def _write(self, news: News) -> None:
        self._backlog.add(news)
        if self._database.file_is_lost and self._database.find_file_again():
            self._prepared = False
        if not self._prepared:
            self._prepare()
            self._prepared = True
        if len(self._backlog):
            rows = self._backlog.rows()
            try:
                self._store.write(self._backlog.epoch, rows)
            except Exception as error:
                if is_of_the_store(error):
                    raise
                _log.exception("A batch of the history was refused; it is written row by row")
                self._store.write_what_can_be(self._backlog.epoch, rows)

    def _done(self, jobs: list[Callable[[], None]]) -> None:
        self._health.note(None)
        with self._wake:
            self._backlog.clear()
            for _ in jobs:
                self._jobs.popleft()
            self._idle = self._news.is_empty() and not self._jobs
            self._wake.notify_all()
