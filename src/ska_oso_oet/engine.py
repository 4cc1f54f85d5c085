"""The engine behind the controller device is made here: every part, put together in one place."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ska_oso_oet import stop_notice
from ska_oso_oet.activity.application import ActivityService, ActivitySettings
from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal
from ska_oso_oet.history.history import History
from ska_oso_oet.mptools import MainContext
from ska_oso_oet.oda.desk import OdaDesk
from ska_oso_oet.oda.store import oda_or_reason
from ska_oso_oet.procedure.application import KILL_SECS, ScriptExecutionService
from ska_oso_oet.procedure.ports import ServiceRules
from ska_oso_oet.procedure.secrecy import Secrets
from ska_oso_oet.settings import default_scan_id_file
from ska_oso_oet.source.git_url import AllowedRepositories
from ska_oso_oet.source.run_directory import RunDirectory, delete_left_behind
from ska_oso_oet.source.script import FileSystemScript
from ska_oso_oet.source.script_policy import ScriptPolicy
from ska_oso_oet.worker.limits import ScriptLimits
from ska_oso_oet.worker.places import PlacesOfProcedures
from ska_oso_oet.worker.pool import PRELOAD, ScriptWorkerPool
from ska_oso_oet.worker.preparation import Places

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.history.store import Recovery
    from ska_oso_oet.mptools import Remains
    from ska_oso_oet.settings import ControllerSettings
    from ska_oso_oet.worker.listener import Flow

_log = logging.getLogger(__name__)
_TRIM_DELAY_SECS: Final = 5.0
"""From the start to the deletion of what killed processes left: first of all, scripts can be started."""
_STOP_SECS: Final = 20.0
"""What the end of processes, threads and connections takes at most, once no script runs."""
_TRIM_SECS: Final = 1.0
"""How long a stop waits for files that are being deleted."""


class Engine:
    """The event bus, the procedures and the processes that run them, from `start` to `stop`.

    `defer` has a function called later, in order, on the thread that pushes events; `flow` knows how far that
    thread is behind; `on_activity` is called with each change of an activity, and must not block.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        defer: Callable[[Callable[[], None]], None],
        flow: Flow,
        on_activity: Callable[[ActivitySummary], None],
        history_url: str,
    ) -> None:
        self._settings = settings
        self._defer = defer
        self._on_activity = on_activity
        self._recovery: Recovery | None = None
        self._trimming = threading.Timer(_TRIM_DELAY_SECS, self._trim)
        self._trimming.daemon = True
        epoch = uuid.uuid4().hex[:12]
        self.journal = EventJournal(epoch, settings.event_journal_length, time.time)
        self.history = History(history_url, epoch, self._announce_lost, newest=settings.list_length)
        self.bus = EventBus(self.journal, defer, self.history)
        self.oda = oda_or_reason(
            os.environ,
            backend=settings.oda_backend,
            data_dir=settings.oda_data_dir,
            url=settings.oda_url,
        )
        self.oda_desk = OdaDesk(self.oda)
        policy = ScriptPolicy(
            settings.script_roots,
            AllowedRepositories(settings.git_repositories),
            embedded_allowed=settings.embedded_scripts == "allowed",
        )
        secrets = Secrets(os.environ, settings.secret_variables, (history_url, settings.oda_url or ""))
        rules = ServiceRules(
            check_script=policy.check,
            exclusivity=settings.exclusivity,
            subarrays=settings.subarrays,
            script_roots=tuple(root.resolve() for root in settings.script_roots),
            list_length=settings.list_length,
            max_ready=settings.max_ready_procedures,
            abort_script=FileSystemScript(script_uri=settings.abort_script)
            if settings.abort_script
            else None,
            abort_timeout=settings.abort_timeout,
            secrets=secrets,
        )
        self.procedures = ScriptExecutionService(self.bus, time.time, rules)
        # Every script counts scans in one file, and so does what goes on with this history.
        self._scan_ids = settings.scan_id_file or default_scan_id_file(history_url)
        environment = {
            **secrets.kept_from(os.environ),
            settings.variable("scan_id_file"): str(self._scan_ids),
        }
        self.context = MainContext(PRELOAD, environment)
        self._run_directory = RunDirectory()
        self._settings = settings
        self._places = PlacesOfProcedures(
            Places(
                directory=settings.environments_dir,
                repositories=settings.git_repositories,
                max_idle_environments=settings.max_idle_environments,
                environment_timeout=settings.environment_timeout,
                scratch=self._run_directory.path,
            ),
            self._run_directory,
        )
        self._limits = ScriptLimits(
            memory=settings.worker_memory,
            processes=settings.worker_processes,
            cgroups=settings.worker_cgroups,
            exit_timeout=settings.exit_timeout,
        )
        pool = ScriptWorkerPool(
            self.context,
            self.procedures,
            flow,
            grace=settings.stop_grace_period,
            places=self._places,
            limits=self._limits,
        )
        self.procedures.use(pool)
        self._pool = pool
        self.bus.subscribe(pool.broadcast_to_workers)
        self.activities = ActivityService(
            self.oda,
            self.procedures,
            self.bus.publish,
            self._note_activity,
            ActivitySettings(
                sb_dir=self._run_directory.folder("scheduling-blocks"),
                telescope=os.environ.get("SKA_TELESCOPE") or "skamid",
                list_length=settings.list_length,
                subarrays=settings.subarrays,
            ),
        )
        self.activities.listen(self.bus)

    def start(self) -> None:
        """Start the fork server and the engine's thread; returns at once."""
        with suppress(OSError):  # a script that needs a scan ID reports what is wrong with the file
            self._scan_ids.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._recovery = self.history.start()
        self.procedures.number_from(self.history.first_procedure_id)
        self.activities.number_from(self.history.first_activity_id)
        self.context.start()
        self._pool.fill()
        # Off the path of any command; what is cut short is completed by the next.
        self._trimming.start()

    def announce_recovery(self) -> None:
        """Announce what the run before this one had left alive, once everyone listens."""
        if self._recovery is not None:
            self._announce_lost(self._recovery)

    def _announce_lost(self, recovery: Recovery) -> None:
        self.procedures.remember(recovery.newest_procedures)
        self.activities.remember(recovery.newest_activities)
        self.procedures.announce_lost(recovery.procedures)
        self.activities.announce_lost(recovery.activities)

    def _note_activity(self, activity: ActivitySummary) -> None:
        self.history.note_activity(activity)
        self._on_activity(activity)

    def remains(self) -> dict[int, Remains]:
        """Report which procedures were killed and are still there, and what of them."""
        return self._pool.remains()

    def _trim(self) -> None:
        """Delete what killed processes left of temporary files, clones and environments."""
        delete_left_behind()
        self._limits.tidy_up()
        try:
            self._places.trim()
        except (OSError, ImportError) as error:  # GitPython needs the program git
            _log.warning("Clones and environments were not tidied up: %s", error)

    def stop(self) -> None:
        """Stop every procedure by the stop ladder, and the threads; what happened has been announced by then.

        Scripts have their grace period, and aborts their time; how long that may last is reported first.
        """
        grace, run_abort = self._settings.stop_grace_period, self._settings.abort_on_shutdown
        takes = grace + KILL_SECS
        if self.procedures.is_abort_due(run_abort=run_abort):
            takes += self._settings.abort_timeout + grace + KILL_SECS
        stop_notice.send(takes + _STOP_SECS)
        self.procedures.end_all(grace, run_abort=run_abort)
        self.context.stop()
        self.activities.close()
        self.oda_desk.close()
        self.oda.close()
        self._run_directory.close()
        self._trimming.cancel()
        self._trimming.join(_TRIM_SECS)
        # The last to go: after everything that is announced until here.
        self._defer(self._stop_history)

    def _stop_history(self) -> None:
        self.history.stop()
