"""ScriptWorkerPool: the controller's side of all ScriptWorkers."""

from __future__ import annotations

import inspect
import json
import logging
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from ska_oso_oet.event import topics
from ska_oso_oet.event.journal import covers, is_reserved
from ska_oso_oet.mptools import EventMessage, ExitStatus, Proc
from ska_oso_oet.procedure.changes import ProcedureChange, ScriptEvent
from ska_oso_oet.procedure.orders import Order, Word
from ska_oso_oet.procedure.preparation import LoadOrder, Places
from ska_oso_oet.procedure.reports import Ending, Resolved, StateEntered, parse_report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.mptools import MainContext
    from ska_oso_oet.mptools.proc import Stream
    from ska_oso_oet.procedure.commands import PrepareProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState

WORKER: Final = "ska_oso_oet.procedure.worker:ScriptWorker"
PRELOAD: Final = ("ska_oso_oet.procedure.worker", "tango")
MAX_UNREAD_BYTES: Final = 8 * 1024 * 1024
"""What a script that does not read its inbox may leave there before events are withheld from it."""

_log = logging.getLogger(__name__)


class PoolListener(Protocol):
    """Told what ScriptWorkers do, on the engine's thread; none of it may block."""

    def on_state(self, pid: int, state: ProcedureState) -> None:
        """Know that a worker has entered a state."""

    def on_commit(self, pid: int, commit: str) -> None:
        """Know the commit that a script from git is taken from."""

    def on_event(self, pid: int, topic: str, data: dict[str, Any]) -> None:
        """Take an event that a script has published."""

    def on_output(self, pid: int, stream: Stream, data: bytes) -> None:
        """Take what a script, or a program that it started, has written."""

    def on_log(self, pid: int, level: str, text: str) -> None:
        """Take a record of a script's log."""

    def on_end(self, pid: int, status: ExitStatus, ending: Ending | None) -> None:
        """Know that a worker's process is gone; `ending` is its own last word, if it had time for one."""


class Flow(Protocol):
    """How far whoever takes the events is behind."""

    @property
    def backlog(self) -> int:
        """Events that wait."""

    def when_below(self, level: int, callback: Callable[[], None]) -> None:
        """Call back once no more than `level` events wait."""


@dataclass
class _Worker:
    proc: Proc | None = None
    ending: Ending | None = None
    interest: list[str] = field(default_factory=list)
    paused: bool = False
    withheld: int = 0


class ScriptWorkerPool:
    """Makes ScriptWorkers, sends them orders, stops them, and hears what they say.

    Procedure ids, `pid` here as in the reference documents, name the workers. Methods may be called from any
    thread, and with locks held: what they ask for is done on the engine's thread.
    """

    HIGH_WATER = 500
    LOW_WATER = 100

    def __init__(
        self,
        main_ctx: MainContext,
        listener: PoolListener,
        flow: Flow,
        *,
        grace: float,
        places: Places | None = None,
    ) -> None:
        self._main_ctx = main_ctx
        self._listener = listener
        self._flow = flow
        self._grace = grace
        self._places = places
        self._workers: dict[int, _Worker] = {}

    # ------------------------------------------------------------ orders

    def create_worker(self, pid: int, command: PrepareProcessCommand) -> None:
        """Make the worker of a procedure and have it load its script and call `init`."""
        worker = self._workers[pid] = _Worker()
        worker.proc = self._main_ctx.Proc(str(pid), WORKER, listener=self)
        order = LoadOrder(command=command, places=self._places)
        worker.proc.send(EventMessage(str(pid), Order.LOAD, order.to_dict()))

    def send_run(self, pid: int, fn_name: str, run_args: ProcedureInput) -> None:
        """Have a worker call a function of its script."""
        if proc := self._proc(pid):
            proc.send(EventMessage(str(pid), Order.RUN, {"fn_name": fn_name, "args": run_args.to_dict()}))

    def stop_worker(self, pid: int) -> None:
        """Have a worker climb the stop ladder: SIGTERM, and SIGKILL of its group after the grace period."""
        if proc := self._proc(pid):
            proc.full_stop(self._grace)

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the engine's thread after `delay` seconds."""
        self._main_ctx.submit(self._main_ctx.call_later, delay, function, *args)

    def broadcast_to_workers(self, event: Event) -> None:
        """Send an event to the scripts that listen to its topic, but not to the one that published it."""
        published = _published_by_script(event)
        source = None if published is None else published.procedure_id
        for pid, worker in list(self._workers.items()):
            if pid != source and any(covers(topic, event.topic) or not topic for topic in worker.interest):
                self._forward(worker, event)

    def _forward(self, worker: _Worker, event: Event) -> None:
        if worker.proc is None or worker.proc.backlog > MAX_UNREAD_BYTES:
            worker.withheld += 1
            if worker.withheld == 1:
                _log.warning("a script does not take its events; some are withheld from it")
            return
        content = {"topic": event.topic, "data": _arguments(event)}
        worker.proc.send(EventMessage(event.msg_src, Order.PUBSUB, content))

    def _proc(self, pid: int) -> Proc | None:
        worker = self._workers.get(pid)
        return None if worker is None else worker.proc

    # ------------------------------------------------------------ words

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Take what a worker says."""
        pid = int(proc.name)
        worker = self._workers[pid]
        if message.msg_type == Word.REPORT:
            self._on_report(pid, worker, message.msg)
        elif message.msg_type == Word.PUBSUB:
            self._on_pubsub(pid, worker, message.msg)
        elif message.msg_type == Word.INTEREST:
            worker.interest = list(message.msg)
        elif message.msg_type == Word.LOG:
            self._listener.on_log(pid, message.msg["level"], message.msg["text"])

    def _on_report(self, pid: int, worker: _Worker, content: Mapping[str, object]) -> None:
        report = parse_report(content)
        if isinstance(report, StateEntered):
            self._listener.on_state(pid, report.state)
        elif isinstance(report, Resolved):
            self._listener.on_commit(pid, report.commit)
        else:
            worker.ending = report

    def _on_pubsub(self, pid: int, worker: _Worker, content: Mapping[str, Any]) -> None:
        topic = content["topic"]
        if is_reserved(topic):
            return
        self._listener.on_event(pid, topic, content["data"])
        # A script that publishes faster than events can leave waits in its pipe, not in this process.
        if self._flow.backlog > self.HIGH_WATER and not worker.paused and worker.proc is not None:
            worker.paused = True
            worker.proc.pause_reading()
            self._flow.when_below(self.LOW_WATER, lambda: self._resume(worker))

    def _resume(self, worker: _Worker) -> None:
        worker.paused = False
        if worker.proc is not None:
            worker.proc.resume_reading()

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Take what a worker writes."""
        self._listener.on_output(int(proc.name), stream, data)

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Forget a worker whose process is gone, and tell."""
        worker = self._workers.pop(int(proc.name))
        self._listener.on_end(int(proc.name), status, worker.ending)


def _published_by_script(event: Event) -> ScriptEvent | None:
    if isinstance(event.subject, ProcedureChange):
        return event.subject.event
    return event.subject if isinstance(event.subject, ScriptEvent) else None


def _arguments(event: Event) -> dict[str, Any]:
    """Give the arguments with which an event is published to a script's listeners."""
    if (published := _published_by_script(event)) is not None:
        return published.arguments
    content = json.loads(event.json)
    known = {"msg_src": content["msg_src"], "request_id": content["request_id"], **content["data"]}
    return {name: known.get(name) for name in _parameters(event.topic)}


@cache
def _parameters(topic: str) -> tuple[str, ...]:
    """Name the data that the topic tree gives to one of the controller's topics."""
    node: Any = topics
    for part in topic.split("."):
        node = getattr(node, part)
    return tuple(inspect.signature(node.msgDataSpec).parameters)
