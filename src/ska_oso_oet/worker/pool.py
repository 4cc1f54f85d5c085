"""ScriptWorkerPool is the controller's side of all ScriptWorkers."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.errors import OetError
from ska_oso_oet.event.journal import covers
from ska_oso_oet.mptools import STARTED, EventMessage, ExitStatus, Proc
from ska_oso_oet.procedure.ports import EVERYTHING, Allowed
from ska_oso_oet.procedure.reports import Ending, Overdue, Resolved, StateEntered, SubarrayGiven
from ska_oso_oet.source.script import GitScript
from ska_oso_oet.worker.forwarding import arguments_of, published_by_script
from ska_oso_oet.worker.limits import ScriptLimits
from ska_oso_oet.worker.orders import Order, RunOrder
from ska_oso_oet.worker.preparation import LoadOrder
from ska_oso_oet.worker.words import AnyWord, Interest, LogRecord, Published, read_word

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable, Iterable

    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.mptools import MainContext, Remains
    from ska_oso_oet.mptools.pipes import Stream
    from ska_oso_oet.procedure.commands import PrepareProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureInput
    from ska_oso_oet.worker.listener import Flow, PoolListener
    from ska_oso_oet.worker.places import PlacesOfProcedures

WORKER: Final = "ska_oso_oet.worker.script_worker:ScriptWorker"
PRELOAD: Final = ("ska_oso_oet.worker.script_worker", "ska_oso_oet.tango")
MAX_UNREAD_BYTES: Final = 8 * 1024 * 1024
"""What a script that does not read its inbox may leave there before events are withheld from it."""
_LEAST_GRACE_SECS: Final = 2.0

_log = logging.getLogger(__name__)


class _Worker:
    """One ScriptWorker, as its process's listener: a spare one until it gets a procedure."""

    def __init__(self, pool: ScriptWorkerPool) -> None:
        self.pool = pool
        self.procedure_id: int | None = None
        self.interest: list[str] = []
        self.ending: Ending | None = None
        self.overdue: str | None = None
        self.deadline: TimerHandle | None = None
        self.paused = False
        self.withheld = 0
        self.malformed = 0
        self.proc = pool.main_ctx.Proc("ScriptWorker", WORKER, listener=self)

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Receive a message of the worker."""
        del proc
        if self.procedure_id is not None and message.msg_type != STARTED:
            self.pool.on_word(self, self.procedure_id, message)

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Receive what the worker writes."""
        del proc
        if self.procedure_id is not None:
            self.pool.listener.on_output(self.procedure_id, stream, data)

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Know that the process is gone."""
        del proc
        self.pool.on_gone(self, status)


class ScriptWorkerPool:
    """Makes ScriptWorkers, sends them orders, stops them, and reads what they report.

    Each worker is named by the id of its procedure. Methods may be called from any thread, and with locks
    held: what they ask for is done on the engine's thread.

    `places` are entered for each script from git, and left when its process is gone. SPARES workers are kept
    that have nothing to do yet, so that a procedure need not wait for a fork.
    """

    HIGH_WATER = 500
    LOW_WATER = 100
    SPARES = 2
    REFILL_SECS = 0.05
    """After this, once the worker that was employed has had its turn, it is replaced."""

    def __init__(
        self,
        main_ctx: MainContext,
        listener: PoolListener,
        flow: Flow,
        *,
        grace: float,
        places: PlacesOfProcedures | None = None,
        limits: ScriptLimits | None = None,
    ) -> None:
        self.main_ctx = main_ctx
        self.listener = listener
        self._flow = flow
        self._grace = grace
        self._places = places
        self._limits = limits or ScriptLimits()
        self._workers: dict[int, _Worker] = {}
        self._spares: deque[_Worker] = deque()

    # ------------------------------------------------------------ orders

    def fill(self) -> None:
        """Make spare workers until there are enough; call it once the context has been started."""
        while len(self._spares) < self.SPARES:
            self._spares.append(_Worker(self))

    def create_worker(
        self, procedure_id: int, command: PrepareProcessCommand, allowed: Allowed = EVERYTHING
    ) -> None:
        """Have a worker load a script, to which `allowed` applies, and call its `init`."""
        git = isinstance(command.script, GitScript)
        places = self._places.enter(procedure_id) if git and self._places is not None else None
        order = LoadOrder(
            command=command, allowed=allowed, places=places, limits=self._limits, grace=self._grace
        )
        self.main_ctx.submit(
            self._employ, procedure_id, EventMessage(str(procedure_id), Order.LOAD, order.to_dict())
        )

    def _employ(self, procedure_id: int, order: EventMessage) -> None:
        # On the engine's thread, where the end of a process is reported too: never between these lines.
        worker = self._pop_spare() or _Worker(self)
        self._workers[procedure_id] = worker
        worker.procedure_id = procedure_id
        self._send(procedure_id, order)

    def _pop_spare(self) -> _Worker | None:
        self.call_later(self.REFILL_SECS, self.fill)
        while self._spares:
            spare = self._spares.popleft()
            if spare.proc.alive:
                return spare
        return None

    def send_run(
        self, procedure_id: int, fn_name: str, run_args: ProcedureInput, offered: Iterable[str] = ()
    ) -> None:
        """Have a worker call a function of its script, with what is `offered` if it has such parameters."""
        order = RunOrder(fn_name=fn_name, args=run_args, offered=list(offered))
        self.main_ctx.submit(
            self._send, procedure_id, EventMessage(str(procedure_id), Order.RUN, order.to_dict())
        )

    def _send(self, procedure_id: int, order: EventMessage) -> None:
        if worker := self._workers.get(procedure_id):
            try:
                worker.proc.send(order)
            except Exception as error:  # noqa: BLE001 - whatever it is, the procedure must not wait for ever
                worker.proc.kill(f"{order.msg_type} could not be sent to its process: {error}")

    def stop_worker(self, procedure_id: int) -> None:
        """Have a worker climb the stop ladder: SIGTERM, and SIGKILL of its group after the grace period."""
        self.main_ctx.submit(self._stop, procedure_id)

    def _stop(self, procedure_id: int) -> None:
        if worker := self._workers.get(procedure_id):
            _log.info("procedure %d is sent SIGTERM; SIGKILL follows after %g s", procedure_id, self._grace)
            worker.proc.full_stop(self._grace)

    def remains(self) -> dict[int, Remains]:
        """Return which procedures were killed and are still there, and what of them."""
        of_each = {procedure_id: worker.proc.remains for procedure_id, worker in list(self._workers.items())}
        return {procedure_id: remains for procedure_id, remains in of_each.items() if remains is not None}

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the engine's thread after `delay` seconds."""
        self.main_ctx.submit(self.main_ctx.call_later, delay, function, *args)

    def broadcast_to_workers(self, event: Event) -> None:
        """Send an event to the scripts that listen to its topic, but not to the one that published it."""
        published = published_by_script(event)
        source = None if published is None else published.procedure_id
        for procedure_id, worker in list(self._workers.items()):
            if procedure_id != source and any(
                covers(topic, event.topic) or not topic for topic in worker.interest
            ):
                self._forward(worker, event)

    def _forward(self, worker: _Worker, event: Event) -> None:
        if worker.proc.backlog > MAX_UNREAD_BYTES:
            worker.withheld += 1
            if worker.withheld == 1:
                _log.warning(
                    "procedure %s does not take its events; some are withheld from it", worker.procedure_id
                )
            return
        content = {"topic": event.topic, "data": arguments_of(event)}
        worker.proc.send(EventMessage(event.msg_src, Order.PUBSUB, content))

    # ------------------------------------------------------------ what workers do, on the engine's thread

    def on_word(self, worker: _Worker, procedure_id: int, message: EventMessage) -> None:
        """Handle a message of a procedure's worker; what it may not send is counted, and logged once."""
        try:
            self._handle(worker, procedure_id, read_word(message))
        except OetError as error:
            worker.malformed += 1
            if worker.malformed == 1:
                _log.warning(
                    "procedure %d: its process sent what it may not, ignored: %.300s", procedure_id, error
                )

    def _handle(self, worker: _Worker, procedure_id: int, word: AnyWord) -> None:
        match word:
            case StateEntered():
                self.listener.on_state(procedure_id, word.state)
            case Resolved():
                self.listener.on_commit(procedure_id, word.commit)
            case SubarrayGiven():
                self.listener.on_subarray(procedure_id, word.subarray_id)
            case Published():
                self._on_pubsub(worker, procedure_id, word)
            case Interest():
                worker.interest = word.topics
            case LogRecord():
                self.listener.on_log(procedure_id, word.level, word.text)
            case Overdue():
                worker.overdue = word.message
            case _:
                worker.ending = word
                self._expect_end(worker)

    def _expect_end(self, worker: _Worker) -> None:
        """Kill a process that does not end by itself, though it no longer waits for what was overdue."""
        if worker.deadline is None:
            seconds = self._limits.exit_timeout + max(self._grace, _LEAST_GRACE_SECS)
            why = f"killed, as it did not end within {seconds:g} s after its script"
            worker.deadline = self.main_ctx.call_later(seconds, worker.proc.kill, why)

    def _on_pubsub(self, worker: _Worker, procedure_id: int, published: Published) -> None:
        self.listener.on_event(procedure_id, published.topic, published.data)
        # A script that publishes faster than events can leave waits in its pipe, not in this process.
        if self._flow.backlog > self.HIGH_WATER and not worker.paused:
            worker.paused = True
            worker.proc.pause_reading()
            self._flow.when_below(self.LOW_WATER, lambda: self._resume(worker))

    @staticmethod
    def _resume(worker: _Worker) -> None:
        worker.paused = False
        worker.proc.resume_reading()

    def on_gone(self, worker: _Worker, status: ExitStatus) -> None:
        """Forget a worker whose process is gone, and report its end if it had a procedure."""
        if worker.procedure_id is None:
            with contextlib.suppress(ValueError):
                self._spares.remove(worker)
        else:
            del self._workers[worker.procedure_id]
            if worker.deadline is not None:
                worker.deadline.cancel()
            if (why := self._lift_limits(worker) or worker.overdue) is not None:
                status = replace(status, error=why)
            if worker.malformed:
                text = f"messages that its process may not send were ignored: {worker.malformed}"
                _log.warning("procedure %d: %s", worker.procedure_id, text)
                self.listener.on_log(worker.procedure_id, "WARNING", text)
            if self._places is not None:
                self._places.leave(worker.procedure_id)
            self.listener.on_end(worker.procedure_id, status, worker.ending)

    def _lift_limits(self, worker: _Worker) -> str | None:
        return None if worker.proc.pid is None else self._limits.lift(worker.proc.pid)
