"""Behind the routes stand the calls that they make, and the stream of events."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError

from ska_oso_oet.client.lost_stop import result_of_lost_stop
from ska_oso_oet.client.tango_controller import pruned
from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES
from ska_oso_oet.errors import (
    CommandForgotten,
    ControllerUnreachable,
    NotFound,
    OetError,
    ProcedureNotFound,
    Rejected,
    WaitTimeout,
)
from ska_oso_oet.procedure.commands import StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.output import OutputQuery
from ska_oso_oet.rest.journal_pages import read_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.types import Receive, Scope, Send

    from ska_oso_oet.activity.domain import ActivityCommand, ActivitySummary
    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.history.queries import Pruned, PruneQuery
    from ska_oso_oet.procedure.commands import PrepareProcessCommand
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.rest.calls import Calls
    from ska_oso_oet.rest.command_waits import CommandWaits
    from ska_oso_oet.rest.event_log import EventLogReader, Missing
    from ska_oso_oet.rest.requests import ProcedureUpdate
    from ska_oso_oet.rest.server_sent import Position
    from ska_oso_oet.rest.state_waits import StateWaits
    from ska_oso_oet.rest.stream import EventHub

KEEP_ALIVE: Final = 15
"""Seconds between the comments that keep a silent stream open."""

SEND_TIMEOUT: Final = 30.0
"""Seconds for which a client may receive nothing at all before its stream is cut."""

COMMAND_TIMEOUT: Final = 120.0
"""Seconds that a stop or a pruning may take; the abort script has 60 s unless its property is set."""


NUMBER_SECS: Final = 2.0
"""Seconds that the answer to a new activity waits for the number of its procedure by itself."""


@dataclass(frozen=True)
class Backend:
    """The controller as routes use it: nothing here blocks the event loop."""

    controller: TangoController
    calls: Calls
    hub: EventHub
    endings: CommandWaits
    states: StateWaits
    paging: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """One page of the journal is read at a time, so that clients who come back together hold nobody up."""

    async def next_page(self, reader: EventLogReader, missing: Missing) -> bytes:
        """Read some of what a reader is missing from the controller's journal."""
        async with self.paging:
            page, seq = await self.calls.ask(read_page, self.controller, missing)
        reader.found(seq)
        return page

    async def describe(self, procedure_id: int) -> ProcedureSummary:
        """Describe a procedure; ProcedureNotFound in the words of the reference."""
        with _words_of_the_reference(procedure_id):
            return await self.calls.ask(self.controller.described, PROCEDURES, procedure_id)

    async def output(self, procedure_id: int, since: int) -> dict[str, Any]:
        """Read what a procedure has written after line `since`; raises as `describe` does."""
        with _words_of_the_reference(procedure_id):
            query = OutputQuery(procedure_id=procedure_id, since=since)
            return await self.calls.ask(self.controller.output, query)

    async def create(self, command: PrepareProcessCommand, wait: float | None) -> ProcedureSummary:
        """Create a procedure; with `wait`, in seconds, return once it is READY."""
        created = await self.calls.ask(self.controller.create, command)
        return await self._once(ProcedureState.READY, created, wait)

    async def start(self, procedure_id: int, update: ProcedureUpdate, wait: float | None) -> ProcedureSummary:
        """Start a procedure, and describe it; with `wait`, in seconds, return once it is RUNNING."""
        try:
            started = await self.calls.ask(self.controller.start, update.start(procedure_id))
        except Rejected:
            await self.describe(procedure_id)  # it may not even exist
            raise
        return await self._once(ProcedureState.RUNNING, started, wait)

    async def _once(
        self, state: ProcedureState, known: ProcedureSummary, wait: float | None
    ) -> ProcedureSummary:
        def reached(summary: ProcedureSummary) -> bool:
            return any(entered is state for entered, _ in summary.history.process_states)

        return known if wait is None else await self.states.until(PROCEDURES, known, reached, wait)

    async def run_activity(self, command: ActivityCommand, wait: float | None) -> ActivitySummary:
        """Run an activity; return once its procedure has a number, or after `wait` seconds."""
        accepted = await self.calls.ask(self.controller.run_activity, command)
        within = NUMBER_SECS if wait is None else wait
        return await self.states.until(ACTIVITIES, accepted, _has_procedure, within)

    async def stop(self, procedure_id: int, *, run_abort: bool | None) -> CommandResult:
        """Stop a procedure and wait until it is gone, and its subarray aborted if that was asked for."""
        command = StopProcessCommand(procedure_id=procedure_id, run_abort=run_abort)
        try:
            command_id = await self.calls.stop(self.controller.begin_stop, command)
        except Rejected:
            await self.describe(procedure_id)
            raise
        try:
            return await self._end_of("stop", command_id)
        except CommandForgotten as lost:
            return await self.calls.ask(result_of_lost_stop, self.controller, command, lost)

    async def prune(self, query: PruneQuery) -> Pruned:
        """Delete what has ended from the history, and wait until it is gone."""
        command_id = await self.calls.ask(self.controller.begin_prune, query)
        return pruned(await self._end_of("pruning", command_id))

    async def _end_of(self, what: str, command_id: str) -> CommandResult:
        unknown = f"the {what} was requested, and its end is not known"
        try:
            return await self.endings.of(command_id, COMMAND_TIMEOUT)
        except WaitTimeout:
            raise WaitTimeout(f"the {what} was requested and has not ended yet") from None
        except ControllerUnreachable as error:
            raise ControllerUnreachable(f"{unknown}: {error}") from None
        except CommandForgotten as error:
            raise CommandForgotten(f"{unknown}: {error}") from None


@contextmanager
def _words_of_the_reference(procedure_id: int) -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise ProcedureNotFound(f"No information available for PID={procedure_id}") from None


def _has_procedure(activity: ActivitySummary) -> bool:
    return activity.procedure_id is not None


class StreamResponse(EventSourceResponse):
    """A stream of events. Its reader is there before the header goes out, and gone when it ends."""

    def __init__(self, backend: Backend, since: Position | None, procedure_id: int | None) -> None:
        super().__init__(_nothing(), ping=KEEP_ALIVE, sep="\n", send_timeout=SEND_TIMEOUT)
        self._backend = backend
        self._since = since
        self._procedure_id = procedure_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        hub = self._backend.hub
        with hub.reader(self._since, self._procedure_id) as reader, suppress(SendTimeoutError):
            self.body_iterator = _written(self._backend, reader)
            await super().__call__(scope, receive, send)


async def _written(backend: Backend, reader: EventLogReader) -> AsyncIterator[bytes]:
    """Write what a reader gets.

    The comment that comes first gets the header through programs that hold it back until something follows.
    """
    yield b":\n\n"
    try:
        while reader.missing is not None:
            yield await backend.next_page(reader, reader.missing)
    except OetError:
        return  # the client comes back with the id of what it got last
    while batch := await reader.read():
        yield batch


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
