"""ScriptWorkerPool against an engine that is faster than whoever gives it orders."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from ska_oso_oet.errors import Rejected
from ska_oso_oet.mptools import ExitStatus
from ska_oso_oet.mptools.message import EventMessage, MessageTooLarge
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput
from ska_oso_oet.source.script import EmbeddedStringScript
from ska_oso_oet.worker.pool import ScriptWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

GONE = ExitStatus(error="the process could not be made")
COMMAND = PrepareProcessCommand(script=EmbeddedStringScript(script_source="def main(): pass"))


class FakeProc:
    alive = True
    pid: int | None = None

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.given_up: list[str] = []

    def send(self, message: object) -> None:
        """Take an order, which nobody carries out."""
        if self.error is not None:
            raise self.error

    def kill(self, why: str) -> None:
        self.given_up.append(why)

    def full_stop(self, grace: float) -> None:
        """Take a stop."""


class FastEngine:
    """Does at once what it is asked for, one thing after another; no process can be made."""

    def __init__(self) -> None:
        self.asked: deque[Callable[[], object]] = deque()
        self.busy = False

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        self.asked.append(lambda: function(*args))
        if self.busy:
            return
        self.busy = True
        while self.asked:
            self.asked.popleft()()
        self.busy = False

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Make no spare workers."""

    def Proc(self, *_: object, listener: Any) -> FakeProc:  # noqa: N802 - the name of the original
        proc = FakeProc()
        self.submit(listener.on_exit, proc, GONE)
        return proc


class Ends:
    def __init__(self) -> None:
        self.told: list[tuple[int, ExitStatus]] = []

    def on_end(self, pid: int, status: ExitStatus, _: object) -> None:
        self.told.append((pid, status))


def pool_of(engine: FastEngine, listener: Ends) -> ScriptWorkerPool:
    parts: list[Any] = [engine, listener, SimpleNamespace(backlog=0)]
    return ScriptWorkerPool(*parts, grace=1.0)


def test_the_end_of_a_process_that_could_not_be_made_is_told_however_soon_it_comes() -> None:
    ends = Ends()
    pool = pool_of(FastEngine(), ends)
    pool.create_worker(7, COMMAND)
    assert ends.told == [(7, GONE)]


class Engine(FastEngine):
    """Makes a process that lives."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.proc = FakeProc(error)
        self.listener: Any = None

    def Proc(self, *_: object, listener: Any) -> FakeProc:  # noqa: N802 - the name of the original
        self.listener = listener
        return self.proc


@pytest.mark.parametrize("error", [MessageTooLarge("it has 9 bytes"), MemoryError("none"), OSError("no")])
def test_an_order_that_cannot_be_sent_ends_the_procedure(error: Exception) -> None:
    engine = Engine(error)
    pool = ScriptWorkerPool(cast("Any", engine), cast("Any", Ends()), cast("Any", None), grace=1.0)
    pool.create_worker(7, COMMAND)
    pool.send_run(7, "main", ProcedureInput())
    assert engine.proc.given_up == [
        f"{order} could not be sent to its process: {error}" for order in ("LOAD", "RUN")
    ]


class Strict(Ends):
    """Takes no state, as where the worker may not enter it; keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.logged: list[tuple[int, str, str]] = []

    def on_state(self, *_: object) -> None:
        raise Rejected("procedure 7 is RUNNING and cannot become READY")

    def on_event(self, pid: int, topic: str, data: object) -> None:
        self.events.append(topic)

    def on_log(self, *record: Any) -> None:
        self.logged.append(record)


MALFORMED = [
    ("NONSENSE", {}),
    ("x" * 100_000, {}),
    ("REPORT", None),
    ("REPORT", {"kind": "resolved", "commit": "f" * 1000}),
    ("REPORT", {"kind": "state", "state": "READY"}),
    ("PUBSUB", {}),
    ("PUBSUB", {"topic": "", "data": {}}),
    ("PUBSUB", {"topic": "x" * 1000, "data": {}}),
    ("PUBSUB", {"topic": "procedure.lifecycle.complete", "data": {}}),
    ("PUBSUB", {"topic": "a", "data": []}),
    ("INTEREST", "a"),
    ("INTEREST", [1]),
    ("LOG", {"level": "INFO"}),
    ("LOG", {"level": 1, "text": "x"}),
]


def test_what_a_worker_may_not_say_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    engine, listener = Engine(), Strict()
    flow = SimpleNamespace(backlog=0)
    pool = ScriptWorkerPool(cast("Any", engine), cast("Any", listener), cast("Any", flow), grace=1.0)
    pool.create_worker(7, COMMAND)
    for msg_type, content in MALFORMED * 100:
        engine.listener.on_message(engine.proc, EventMessage("7", msg_type, content))
    engine.listener.on_message(engine.proc, EventMessage("7", "PUBSUB", {"topic": "a", "data": {"x": 1}}))
    assert listener.events == ["a"]
    assert len(caplog.records) == 1
    engine.listener.on_exit(engine.proc, GONE)
    total = f"messages that its process may not send were ignored: {100 * len(MALFORMED)}"
    assert listener.logged == [(7, "WARNING", total)]
    assert listener.told == [(7, GONE)]
    first, last = (record.getMessage() for record in caplog.records)
    assert "is no word of a worker" in first
    assert last == f"procedure 7: {total}"
    assert not any(record.exc_info for record in caplog.records)
    assert len(first) < 500
