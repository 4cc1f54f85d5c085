"""The engine behind the controller device: every part, put together in one place."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import EventJournal
from ska_oso_oet.mptools import MainContext
from ska_oso_oet.procedure.application import ScriptExecutionService, ServiceRules
from ska_oso_oet.procedure.domain import FileSystemScript
from ska_oso_oet.procedure.git_url import AllowedRepositories
from ska_oso_oet.procedure.pool import PRELOAD, ScriptWorkerPool
from ska_oso_oet.procedure.preparation import Places
from ska_oso_oet.procedure.script_policy import ScriptPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.procedure.pool import Flow
    from ska_oso_oet.settings import ControllerSettings


class Engine:
    """The event bus, the procedures and the processes that run them, from `start` to `stop`.

    `defer` has a function called later, in order, on the thread that tells events; `flow` knows how far that
    thread is behind.
    """

    def __init__(
        self, settings: ControllerSettings, defer: Callable[[Callable[[], None]], None], flow: Flow
    ) -> None:
        epoch = uuid.uuid4().hex[:12]
        self.journal = EventJournal(epoch, settings.event_journal_length, time.time)
        self.bus = EventBus(self.journal, defer)
        policy = ScriptPolicy(
            settings.script_roots,
            AllowedRepositories(settings.git_repositories),
            embedded_allowed=settings.embedded_scripts == "allowed",
        )
        rules = ServiceRules(
            check_script=policy.check,
            exclusivity=settings.exclusivity,
            history_length=settings.history_length,
            abort_script=FileSystemScript(script_uri=settings.abort_script)
            if settings.abort_script
            else None,
            abort_timeout=settings.abort_timeout,
        )
        self.procedures = ScriptExecutionService(self.bus, time.time, rules)
        self.context = MainContext(PRELOAD)
        places = Places(
            directory=settings.environments_dir,
            repositories=settings.git_repositories,
            max_idle_environments=settings.max_idle_environments,
            environment_timeout=settings.environment_timeout,
        )
        pool = ScriptWorkerPool(
            self.context, self.procedures, flow, grace=settings.stop_grace_period, places=places
        )
        self.procedures.use(pool)
        # The bus holds its listeners weakly.
        self._pool = pool
        self.bus.subscribe(pool.broadcast_to_workers)

    def start(self) -> None:
        """Start the fork server and the engine's thread; returns at once."""
        self.context.start()

    def stop(self) -> None:
        """Stop every procedure by the stop ladder, and the threads; what happened has been told by then."""
        self.procedures.stop_all()
        self.context.stop()
