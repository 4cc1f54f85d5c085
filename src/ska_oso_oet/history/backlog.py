"""The backlog holds what has been announced and is not stored yet."""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ska_oso_oet.activity.domain import ActivitySummary
from ska_oso_oet.event.journal import covers
from ska_oso_oet.history.rows import Row, activity_row, event_row, procedure_row, storable, subarray_rows
from ska_oso_oet.procedure.changes import ProcedureChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.domain import ProcedureSummary

T = TypeVar("T")
R = TypeVar("R")
_log = logging.getLogger(__name__)
MAX_LINES: Final = 200
MAX_CHARACTERS: Final = 64 * 1024
"""Of the newest output that is kept of each procedure."""
_LIVES: Final = ("procedure.lifecycle", "activity.lifecycle")


@dataclass(frozen=True, slots=True)
class Request:
    """A command that was accepted, who sent it and when."""

    command_id: str
    command: str
    requester: str | None
    time: float


@dataclass
class News:
    """What was announced since the writer looked last; filling it in costs next to nothing."""

    procedures: dict[int, ProcedureSummary] = field(default_factory=dict)
    activities: dict[int, ActivitySummary] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    output: list[Event] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def add(self, event: Event) -> bool:
        """Note an event; False for one that is no part of the history."""
        subject = event.subject
        if isinstance(subject, ProcedureChange):
            self.procedures[subject.summary.id] = subject.summary
        elif isinstance(subject, ActivitySummary):
            self.activities[subject.id] = subject
        if any(covers(topic, event.topic) for topic in _LIVES):
            self.events.append(event)
        elif covers("procedure.output", event.topic):
            self.output.append(event)
        else:
            return subject is not None and isinstance(subject, ProcedureChange | ActivitySummary)
        return True

    def is_empty(self) -> bool:
        """Return whether nothing was noted."""
        return not (self.procedures or self.activities or self.events or self.output or self.requests)


@dataclass
class Tail:
    """The newest lines of a procedure's output."""

    lines: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_LINES))
    last_line: int = 0
    size: int = 0

    def extend(self, lines: list[dict[str, Any]]) -> None:
        """Add lines as `procedure.output` has them."""
        for line in lines:
            if len(self.lines) == MAX_LINES:
                self.size -= len(self.lines[0]["text"])
            self.lines.append(line)
            self.size += len(line["text"])
            self.last_line = line["line"]
        while self.size > MAX_CHARACTERS and len(self.lines) > 1:
            self.size -= len(self.lines.popleft()["text"])

    def row(self, procedure_id: int) -> Row:
        """Describe it as a row."""
        return {
            "procedure_id": procedure_id,
            "last_line": self.last_line,
            "lines": json.dumps(list(self.lines)),
        }


@dataclass
class Backlog:
    """Rows that wait to be written; each procedure and activity once, in its newest state."""

    epoch: str
    procedures: dict[int, ProcedureSummary] = field(default_factory=dict)
    activities: dict[int, ActivitySummary] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    output: dict[int, Tail] = field(default_factory=dict)
    requests: list[Row] = field(default_factory=list)
    tails: dict[int, Tail] = field(default_factory=dict)

    def add(self, news: News) -> None:
        """Add what was announced meanwhile."""
        self.procedures.update(news.procedures)
        self.activities.update(news.activities)
        self.events += _described(lambda event: event_row(event, self.epoch), news.events)
        self.requests += _described(_request_row, news.requests)
        for content in _described(lambda event: json.loads(event.json)["data"], news.output):
            tail = self.tails.setdefault(content["procedure_id"], Tail())
            tail.extend(content["lines"])
            self.output[content["procedure_id"]] = tail

    def __len__(self) -> int:
        parts = (self.procedures, self.activities, self.events, self.output, self.requests)
        return sum(len(part) for part in parts)

    def rows(self) -> Rows:
        """Describe everything as rows."""
        procedures, activities = self.procedures.values(), self.activities.values()
        return Rows(
            requests=list(self.requests),
            procedures=_described(lambda each: procedure_row(each, self.epoch), procedures),
            subarrays=[row for rows in _described(subarray_rows, procedures) for row in rows],
            activities=_described(lambda each: activity_row(each, self.epoch), activities),
            events=list(self.events),
            output=[tail.row(number) for number, tail in self.output.items()],
        )

    def clear(self) -> None:
        """Forget what has been written; the output of procedures that have ended with it."""
        for number, summary in self.procedures.items():
            if summary.state.final:
                self.tails.pop(number, None)
        for rows in (self.procedures, self.activities, self.output):
            rows.clear()
        self.events.clear()
        self.requests.clear()


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by table."""

    requests: list[Row] = field(default_factory=list)
    procedures: list[Row] = field(default_factory=list)
    subarrays: list[Row] = field(default_factory=list)
    activities: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    output: list[Row] = field(default_factory=list)

    def single(self) -> list[Rows]:
        """Split them, one row each."""
        return [Rows(**{name: [row]}) for name in self.__slots__ for row in getattr(self, name)]


def _request_row(request: Request) -> Row:
    return {
        "command_id": storable(request.command_id),
        "command": request.command,
        "requester": None if request.requester is None else storable(request.requester),
        "time": request.time,
    }


def _described(describe: Callable[[T], R | None], subjects: Iterable[T]) -> list[R]:
    """Describe each; a bug in one must not keep the others from being recorded."""
    rows = []
    for subject in subjects:
        try:
            row = describe(subject)
        except Exception:  # noqa: BLE001 - logged; the thread must outlive it
            _log.exception("The history cannot keep %.500r", subject)
        else:
            if row is not None:
                rows.append(row)
    return rows
