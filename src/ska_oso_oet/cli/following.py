"""A procedure or an activity is followed by its events on the screen, until it is where it should be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol

from ska_oso_oet.activity.domain import ActivityState
from ska_oso_oet.cli.event_lines import Subject, event_lines, notice, output_line
from ska_oso_oet.cli.output_tail import Lost, OutputTail
from ska_oso_oet.cli.screen import Screen
from ska_oso_oet.client.events import Event
from ska_oso_oet.client.inbox import QUIET_TIME, Patience
from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES, S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.cli.session import Session
    from ska_oso_oet.client.events import EventStream, StreamItem
    from ska_oso_oet.client.waiting import Kind, State
    from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary
    from ska_oso_oet.procedure.output import Line


@dataclass
class Goal(Generic[S]):
    """Where a procedure or an activity should be: in one of `states`, or at its end."""

    kind: Kind[S]
    known: S
    states: Collection[State]
    ask: Callable[[S], S]

    @property
    def reached(self) -> bool:
        """Whether it is there."""
        return self.kind.has_entered(self.known, self.states)

    @property
    def situation(self) -> str:
        """What is still so while it is not."""
        return f"{self.kind.word} {self.known.id} is still {self.known.state}"


def follow(session: Session, stream: EventStream, view: View, goal: Goal[S]) -> S:
    """Show the events of a stream until the goal is reached; until `--timeout`."""
    patience = Patience()
    try:
        while not goal.reached:
            session.deadline.check(goal.situation)
            item = stream.get(session.deadline.at_most(QUIET_TIME))
            view.show(item)
            if not isinstance(item, Event) or view.subject.is_moved_by(item):
                goal.known = patience.ask(lambda: goal.ask(goal.known)) or goal.known
        for item in stream.drain():
            view.show(item)
    finally:
        view.close()
        session.procedure_id = session.procedure_id or view.subject.procedure_id
    return goal.known


class View(Protocol):
    """Shows the items of an event stream."""

    subject: Subject

    def show(self, item: StreamItem | None) -> None:
        """Show an item, if it is about the subject."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class EventView:
    """Shows everything that happens to a procedure or an activity."""

    def __init__(self, session: Session, subject: Subject) -> None:
        self.subject = subject
        self._session = session
        self._screen = Screen()
        self._tail = OutputTail(self._read_output)

    def _read_output(self, since: int) -> dict[str, Any]:
        return self._session.client.output(self.subject.procedure_id or 0, since)

    def show(self, item: StreamItem | None) -> None:
        """Show an item, if it is about the subject."""
        if not isinstance(item, Event):
            if item is not None:
                self._screen.notice(notice(item))
            return
        self.subject.note(item)
        if self.subject.concerned_by(item):
            self._show_event(item)

    def _show_event(self, event: Event) -> None:
        if event.topic == "procedure.output":
            show_output(self._tail.on_output(event.data), self._screen)
        elif not show_progress(event, self._screen):
            for line in event_lines(event):
                self._screen.line(line)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._screen.close()


class OutputView:
    """Shows the output of a procedure, and its progress; with --json each line as an object."""

    def __init__(self, session: Session, known: ProcedureSummary, since: int) -> None:
        self.subject = Subject(known.id)
        self._json = session.json
        self._screen = Screen()
        self._tail = OutputTail(lambda line: session.client.output(known.id, line), since)
        if known.progress is not None and not self._json:
            self._screen.progress(known.progress.percent, known.progress.message)

    def show(self, item: StreamItem | None) -> None:
        """Show an item, if it is about the subject."""
        if not isinstance(item, Event):
            if item is not None:
                self._screen.notice(notice(item))
        elif self.subject.concerned_by(item):
            if item.topic == "procedure.output":
                self._show(self._tail.on_output(item.data))
            elif not self._json:
                show_progress(item, self._screen)

    def catch_up(self) -> None:
        """Show what has been written and was not yet shown."""
        self._show(self._tail.rest())

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._screen.close()

    def _show(self, lines: Iterable[Line | Lost]) -> None:
        if not self._json:
            show_output(lines, self._screen)
            return
        for line in lines:
            content = {"lost": line.lines} if isinstance(line, Lost) else line.to_dict()
            self._screen.line(json.dumps(content))


def show_output(lines: Iterable[Line | Lost], screen: Screen) -> None:
    """Show lines of output, and report which are missing."""
    for line in lines:
        if isinstance(line, Lost):
            screen.notice(f"{line.lines} lines of output are lost: the controller no longer keeps them")
        else:
            screen.line(output_line(line))


def show_progress(event: Event, screen: Screen) -> bool:
    """Show progress as a bar; False for another event, and where there is no terminal."""
    percent = event.data.get("progress") if event.topic == "procedure.progress" else None
    return isinstance(percent, int | float) and screen.progress(percent, str(event.data.get("message", "")))


class Follower:
    """Waits for a procedure or an activity; prints its events meanwhile, unless the output is JSON.

    Made before the request whose effects it follows, so that the first event is not missed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stream: EventStream | None = None if session.json else session.owns(session.client.events())

    def until(self, known: ProcedureSummary, states: Collection[ProcedureState] = ()) -> ProcedureSummary:
        """Wait until the procedure has entered one of `states` or has ended; until `--timeout`."""
        session = self._session
        if self._stream is None:
            return session.client.wait(known.id, states, session.deadline)
        refresh = session.client.refresh
        view = EventView(session, Subject(known.id))
        return follow(session, self._stream, view, Goal(PROCEDURES, known, states, refresh))

    def until_done(self, known: ActivitySummary) -> ActivitySummary:
        """Wait until an activity has ended, or is PREPARED if that was all that was asked for."""
        session = self._session
        states = {ActivityState.PREPARED} if known.prepare_only else set[ActivityState]()
        if self._stream is None:
            return session.client.wait_activity(known.id, states, session.deadline)
        refresh = session.client.refresh_activity
        view = EventView(session, Subject.of_activity(known))
        return follow(session, self._stream, view, Goal(ACTIVITIES, known, states, refresh))
