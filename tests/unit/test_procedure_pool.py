"""ScriptWorkerPool against an engine that is faster than whoever gives it orders."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

from ska_oso_oet.mptools.proc import ExitStatus
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import EmbeddedStringScript
from ska_oso_oet.procedure.pool import ScriptWorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

GONE = ExitStatus(error="the process could not be made")
COMMAND = PrepareProcessCommand(script=EmbeddedStringScript(script_source="def main(): pass"))


class FakeProc:
    alive = True

    def send(self, message: object) -> None:
        """Take an order, which nobody carries out."""

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


def test_the_end_of_a_process_that_could_not_be_made_is_told_however_soon_it_comes() -> None:
    ends = Ends()
    pool = ScriptWorkerPool(
        cast("Any", FastEngine()), cast("Any", ends), cast("Any", None), exit_timeout=10.0, grace=1.0
    )
    pool.create_worker(7, COMMAND)
    assert ends.told == [(7, GONE)]
