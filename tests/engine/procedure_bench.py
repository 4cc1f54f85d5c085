"""A whole engine without Tango, and the means to wait for what happens in it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from ska_oso_oet.engine import Engine
from ska_oso_oet.errors import NotReady, ProcedureNotFound
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import (
    CallArgs,
    ExitRecord,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from ska_oso_oet.settings import ControllerSettings
from ska_oso_oet.ska.event_pump import EventPump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ska_oso_oet.event.journal import Event

DEADLINE = 60.0
PATIENT, IMPATIENT = 60.0, 0.3  # seconds that a script gets to end by itself when it is stopped
S = ProcedureState
ENDS = (S.COMPLETE, S.FAILED, S.STOPPED)

PRELUDE = """\
import os, signal, sys, time
from pubsub import pub

def tell(word, **data):
    pub.sendMessage("test." + word, **data)

def forever():
    while True:
        time.sleep(60)

"""
FORGE = """\
import json, os, stat, struct

def forge(report):
    \"\"\"Say something into the channel that only the worker should say.\"\"\"
    body = json.dumps(["worker", "REPORT", report]).encode()
    for fd in range(3, 100):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, struct.pack("!I", len(body)) + body)
        except OSError:
            pass

"""
PRELUDE_LINES = PRELUDE.count("\n")


def nothing_pushed(name: str, value: object) -> None:
    raise AssertionError(f"{name} was pushed: {value}")


class Bench:
    """Creates, starts and stops procedures, and waits for their states and events with a deadline.

    With `spares` it keeps that many workers ready that have nothing to do yet (None: as many as usual).
    """

    def __init__(self, folder: Path, spares: int | None = None, **settings: Any) -> None:
        self.folder = folder
        self.pump = EventPump(nothing_pushed, retry_on=OSError)
        given = {"script_roots": "/", "embedded_scripts": "allowed", "environments_dir": folder, **settings}
        given.setdefault("stop_grace_period", PATIENT)
        history = f"sqlite:///{folder / 'history.db'}"
        self.engine = Engine(
            ControllerSettings.load(given), self.pump.call, self.pump, lambda _: None, history
        )
        if spares is not None:
            self.engine._pool.SPARES = spares
        self.procedures = self.engine.procedures
        self.journal = self.engine.journal
        self._changed = threading.Condition()
        self._newest: dict[int, ProcedureSummary] = {}
        self._events: list[dict[str, Any]] = []
        self._scripts = 0
        self.engine.bus.subscribe(self._on_event)

    def __enter__(self) -> Self:
        """Start the engine, and wait until the fork server is up."""
        self.pump.start()
        self.engine.start()
        try:
            assert self.run("def init(subarray_id): pass\ndef main(): pass").state is S.COMPLETE
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.stop()
        assert self.pump.stop()

    @property
    def fork_server(self) -> int:
        pid = self.engine.context.fork_server_pid
        assert pid is not None
        return pid

    # ------------------------------------------------------------ what happened

    def _on_event(self, event: Event) -> None:
        with self._changed:
            if isinstance(event.subject, ProcedureChange):
                self._newest[event.subject.summary.id] = event.subject.summary
            elif event.topic.startswith("test.") and not event.topic.startswith("test.flood"):
                self._events.append(json.loads(event.json))
            self._changed.notify_all()

    def until(self, condition: Callable[[], Any], what: Callable[[], str], timeout: float = DEADLINE) -> Any:
        with self._changed:
            assert self._changed.wait_for(condition, timeout), what()
            return condition()

    def wait(self, pid: int, *states: ProcedureState, timeout: float = DEADLINE) -> ProcedureSummary:
        """Wait until a procedure is, or has been, in one of these states."""

        def seen() -> ProcedureSummary | None:
            summary = self._newest.get(pid)
            return (
                summary if summary and any(s in states for s, _ in summary.history.process_states) else None
            )

        def what() -> str:
            return f"waited for {states} of {self._newest.get(pid)}; it wrote {self.written(pid)}"

        summary: ProcedureSummary = self.until(seen, what, timeout)
        return summary

    def ended(self, pid: int, timeout: float = DEADLINE) -> ProcedureSummary:
        return self.wait(pid, *ENDS, timeout=timeout)

    def heard(self, pid: int, word: str, timeout: float = DEADLINE) -> dict[str, Any]:
        """Wait for what a script tells with `tell(word, **data)`, and return the data."""

        def found() -> dict[str, Any] | None:
            for event in self._events:
                if event["procedure_id"] == pid and event["topic"] == f"test.{word}":
                    return {"told": True, **event["data"]}
            return None

        def what() -> str:
            return f"waited for {word}; {self._newest.get(pid)} wrote {self.written(pid)}"

        data: dict[str, Any] = self.until(found, what, timeout)
        return data

    def told(self, pid: int, word: str) -> list[dict[str, Any]]:
        with self._changed:
            topic = f"test.{word}"
            return [e["data"] for e in self._events if (e["procedure_id"], e["topic"]) == (pid, topic)]

    def written(self, pid: int) -> list[str]:
        try:
            return [line["text"] for line in json.loads(self.procedures.output(pid, 0))["lines"]]
        except KeyError:
            return []

    def summary(self, pid: int) -> ProcedureSummary:
        found = self.procedures.summarise([pid])
        if not found:
            raise ProcedureNotFound(f"{pid} is not in the list")
        return found[0]

    # ------------------------------------------------------------ requests

    def script(self, source: str, name: str | None = None) -> Path:
        """Write a script, after the prelude that gives it `tell` and `forever`."""
        self._scripts += 1
        path = self.folder / (name or f"script_{self._scripts}.py")
        path.write_text(PRELUDE + textwrap.dedent(source))
        return path

    def load(self, uri: str, init: ProcedureInput | None = None, main: ProcedureInput | None = None) -> int:
        arguments = CallArgs(init=init or ProcedureInput(), main=main or ProcedureInput())
        content = {"script": {"script_type": "filesystem", "script_uri": uri}}
        command = PrepareProcessCommand.parse({**content, "script_args": arguments.to_dict()})
        return self.procedures.prepare(command).id

    def create(self, source: str, *args: Any, **kwargs: Any) -> int:
        """Create a procedure of a script whose `init` gets these arguments."""
        return self.load(self.script(source).as_uri(), ProcedureInput(*args, **kwargs))

    def ready(self, source: str, *args: Any, **kwargs: Any) -> int:
        pid = self.create(source, *args, **kwargs)
        summary = self.wait(pid, S.READY, *ENDS)
        assert summary.state is S.READY, f"{summary} wrote {self.written(pid)}"
        return pid

    def start(self, pid: int, *args: Any, **kwargs: Any) -> ProcedureSummary:
        arguments = {"main": {"args": list(args), "kwargs": kwargs}} if args or kwargs else {}
        return self.procedures.start(
            StartProcessCommand.parse({"procedure_id": pid, "script_args": arguments})
        )

    def running(self, source: str, *args: Any, **kwargs: Any) -> int:
        """Run a script up to the moment at which its main says `tell("here")`."""
        pid = self.ready(source, *args, **kwargs)
        self.start(pid)
        self.heard(pid, "here")
        return pid

    def run(self, source: str, *args: Any, **kwargs: Any) -> ProcedureSummary:
        """Create a procedure and start it if it becomes READY; return how it ended."""
        pid = self.create(source, *args, **kwargs)
        if self.wait(pid, S.READY, *ENDS).state is S.READY:
            self.start(pid)
        return self.ended(pid)

    def ask_stop(self, pid: int | None) -> None:
        self.procedures.stop(StopProcessCommand(procedure_id=pid, run_abort=False))

    def stop(self, pid: int, timeout: float = DEADLINE) -> ProcedureSummary:
        self.ask_stop(pid)
        return self.ended(pid, timeout)

    def grant(self, grace: float) -> None:
        """Give scripts that are stopped from now on so many seconds to end by themselves."""
        self.engine._pool._grace = grace

    def stop_all(self) -> None:
        live = [summary.id for summary in self.procedures.summarise() if not summary.state.final]
        for pid in live:
            with contextlib.suppress(NotReady):  # it has ended meanwhile
                self.ask_stop(pid)
        for pid in live:
            self.ended(pid)


def states_of(summary: ProcedureSummary) -> list[ProcedureState]:
    return [state for state, _ in summary.history.process_states]


def how(summary: ProcedureSummary) -> ExitRecord:
    assert summary.exit is not None
    return summary.exit


def user_frames(stacktrace: str) -> list[str]:
    return [line for line in stacktrace.splitlines() if line.startswith('  File "')]


def only_user_frames(stacktrace: str | None, folder: object) -> bool:
    assert stacktrace is not None
    frames = user_frames(stacktrace)
    return bool(frames) and all(line.startswith(f'  File "{folder}/script_') for line in frames)


def are_gone(pids: Iterable[int], timeout: float = 0.0) -> bool:
    """Tell whether processes have ended, waiting for it at most `timeout` seconds in all."""
    deadline = time.monotonic() + timeout
    return all(_is_gone(pid, max(0.0, deadline - time.monotonic())) for pid in pids)


def _is_gone(pid: int, timeout: float) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], timeout)[0])
    finally:
        os.close(pidfd)
