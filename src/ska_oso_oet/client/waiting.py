"""Procedures, activities and long running commands are waited for by change events, and by asking."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ska_oso_oet.activity.domain import ActivityState, ActivitySummary
from ska_oso_oet.client.inbox import QUIET_TIME, Deadline, Patience
from ska_oso_oet.errors import (
    ActivityNotFound,
    CommandForgotten,
    NotFound,
    ProcedureNotFound,
)
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus
from ska_oso_oet.ska.lrc_record import FINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ska_oso_oet.client.inbox import Link
    from ska_oso_oet.client.port import Controller

State = ProcedureState | ActivityState

LRC_EVENT: Final = "_lrcEvent"
"""The attribute whose events concern one command each: `[id, JSON]`, with its result when it has ended."""

_IDS: Final = range(2**63)
"""Numbers that a procedure or an activity can have, which travel as 64 bits; 0 is the newest."""


S = TypeVar("S", ProcedureSummary, ActivitySummary)
"""What is known of a procedure or an activity at one moment."""


@dataclass(frozen=True)
class Kind(Generic[S]):
    """Procedures, or activities: `word` and `plural` are parts of the names that interfaces have for them."""

    word: str
    plural: str
    model: type[S]
    missing: type[NotFound]
    history: Callable[[S], Iterable[tuple[State, float]]]

    def describe(self, controller: Controller, number: int) -> S:
        """Ask the controller; 0 is the newest one."""
        self.check(number)
        return controller.described(self, number)

    def check(self, number: int) -> None:
        """Raise NotFound of this kind for a number that cannot travel: it is nobody's."""
        if number not in _IDS:
            raise self.missing(f"there is no {self.word} {number}")

    def refresh(self, controller: Controller, known: S) -> S:
        """Ask again; raise NotFound of this kind if it is gone and its number means another."""
        gone = (
            f"{self.word} {known.id} was {known.state} and is no longer known: "
            f"the controller was restarted, or the {self.word} has left its history"
        )
        try:
            fresh = self.describe(controller, known.id)
        except NotFound:
            raise self.missing(gone) from None
        if fresh.created_at != known.created_at:
            raise self.missing(gone)
        return fresh

    def has_entered(self, known: S, states: Collection[State]) -> bool:
        """Return whether it is, or was, in one of `states`, or can no longer get there."""
        return known.state.final or any(state in states for state, _ in self.history(known))

    def wait(self, controller: Controller, number: int, states: Collection[State], deadline: Deadline) -> S:
        """Wait until it has entered one of `states`, or has ended."""
        return self.wait_until(controller, number, partial(self.has_entered, states=states), deadline)

    def wait_until(
        self, controller: Controller, number: int, reached: Callable[[S], bool], deadline: Deadline
    ) -> S:
        """Wait until something is true of it.

        Subscribes first and reads then, so that nothing can happen in between.
        """
        with controller.changes(self) as inbox:
            known = self.describe(controller, number)
            patience = Patience()
            connected = False
            while not reached(known):
                deadline.check(f"{self.word} {known.id} is still {known.state}")
                changed = inbox.get(deadline.at_most(QUIET_TIME))
                news = next(filter(partial(_is_same, known), changed or ()), None) if connected else None
                if news is None and (changed is None or not connected):
                    # The first value after a (re)connection shows nothing of what happened before it.
                    news = patience.ask(lambda: self.refresh(controller, known))  # noqa: B023 - called at once
                connected = changed is not None
                known = news or known
            return known


def _is_same(known: S, other: S) -> bool:
    return (other.id, other.created_at) == (known.id, known.created_at)


PROCEDURES: Final = Kind[ProcedureSummary](
    "procedure",
    "procedures",
    ProcedureSummary,
    ProcedureNotFound,
    lambda known: known.history.process_states,
)
ACTIVITIES: Final = Kind[ActivitySummary](
    "activity",
    "activities",
    ActivitySummary,
    ActivityNotFound,
    lambda known: known.activity_states,
)


@dataclass(frozen=True)
class CommandResult:
    """How a long running command ended; `text` is for the operator, the JSON of `detail` if there is one."""

    code: ResultCode
    text: str
    detail: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, code: ResultCode, detail: dict[str, Any]) -> CommandResult:
        """Make the result that has a detail."""
        return cls(code, json.dumps(detail), detail)

    @classmethod
    def read(cls, code: int, text: str) -> CommandResult:
        """Read the result that a device sends; there is no detail where the text is not a JSON object."""
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        return cls(ResultCode(code), text, document if isinstance(document, dict) else {})


def wait_for_command(link: Link, command_id: str, deadline: Deadline) -> CommandResult:
    """Wait until a long running command has ended.

    Subscribes first and asks then, so that nothing can happen in between. Events of other commands, of which
    there may be hundreds in a second, wake nobody.
    """
    news = threading.Event()

    def on_event(event: Sequence[str] | None) -> None:
        if may_have_ended(event, command_id):
            news.set()

    unsubscribe = link.subscribe(LRC_EVENT, on_event)
    try:
        patience = Patience()
        while True:
            news.clear()
            result = patience.ask(lambda: command_result(link, command_id))
            if result is not None:
                return result
            deadline.check(f"command {command_id} has not ended")
            news.wait(deadline.at_most(QUIET_TIME))
    finally:
        unsubscribe()


def may_have_ended(event: Sequence[str] | None, command_id: str) -> bool:
    """Return whether an event of LRC_EVENT is a reason to ask for the result of a command.

    It is where the command ends, and where the event is empty: after an error, and at the beginning of a
    connection, before which events may have been missed.
    """
    return not event or (event[0] == command_id and "result" in json.loads(event[1]))


def command_result(link: Link, command_id: str) -> CommandResult | None:
    """Ask for the result of a long running command, None if it has not ended; raises CommandForgotten."""
    outcome = json.loads(link.command("GetCommandResult", command_id))
    status = TaskStatus[outcome["status"]]
    if status is TaskStatus.NOT_FOUND:
        raise CommandForgotten(f"command {command_id} is no longer known: the controller was restarted")
    if status not in FINAL:
        return None
    code, text = outcome["result"]
    return CommandResult.read(code, text)
