"""The journal numbers every event before anyone receives it, and keeps the newest to be read again."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import Field, StrictInt, StrictStr

from ska_oso_oet.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_JOURNAL_BYTES: Final = 128 * 1024 * 1024
"""Characters of JSON that are kept at most, so that a few huge events cannot fill the memory."""

MAX_LIMIT: Final = 10_000
"""Events that one query may ask for."""


class Origin(NamedTuple):
    """Where an event comes from.

    `msg_src` is a name, which a script may choose for itself, and `request_id` the command that caused it, if
    any. `procedure_id` is the procedure whose process sent it, or of which the service speaks; None where
    there is none. No script can choose it.
    """

    msg_src: str
    request_id: str | float | None = None
    procedure_id: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the bus.

    `json` is the whole of it as ASCII JSON: `{"epoch", "seq", "time", "topic", "msg_src", "request_id",
    "procedure_id", "data"}`, with `time` in seconds since 1970. `subject` is for listeners in this process
    only: the object that the event speaks of.
    """

    seq: int
    topic: str
    msg_src: str
    procedure_id: int | None
    json: str
    subject: object = None


class EventsQuery(Model):
    """The argument of GetEvents: what comes after `since` in `epoch`, of topics with one of the prefixes.

    Without an epoch the running one is meant; an empty list of topics means all of them. With a
    `procedure_id` only events of that procedure are meant.
    """

    since: StrictInt = Field(0, ge=0, lt=2**63)
    epoch: StrictStr | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_LIMIT)] = 1000
    topics: list[StrictStr] = Field(default_factory=list)
    procedure_id: Annotated[StrictInt, Field(ge=1)] | None = None

    def wants(self, topic: str, procedure_id: int | None) -> bool:
        """Return whether an event on `topic`, of a procedure, is asked for."""
        if self.procedure_id not in {None, procedure_id}:
            return False
        return not self.topics or any(covers(prefix, topic) for prefix in self.topics)


class EventJournal:
    """Numbers events and keeps the newest of them; any thread may use it.

    `seq` starts at 1 and increases by one for each event. `epoch` names this journal's life: a client that
    sees another one knows that the numbers have started again.
    """

    def __init__(self, epoch: str, length: int, clock: Callable[[], float]) -> None:
        self.epoch = epoch
        self._clock = clock
        self._length = length
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._size = 0
        self._last_seq = 0

    @property
    def last_seq(self) -> int:
        """Number of the newest event, 0 before the first."""
        return self._last_seq

    def append(
        self,
        topic: str,
        origin: Origin,
        data: Mapping[str, Any],
        *,
        subject: object = None,
        then: Callable[[Event], None] | None = None,
    ) -> Event:
        """Append an event with the next number.

        `then` is called with the event before another one can get a number, so that whatever it queues has
        the order of the journal; it must do no more than that. Raises TypeError or ValueError when `data`
        is not JSON.
        """
        content = json.dumps(data, allow_nan=False)
        head = json.dumps({"topic": topic, **origin._asdict()})[1:-1]
        with self._lock:
            self._last_seq += 1
            text = (
                f'{{"epoch": "{self.epoch}", "seq": {self._last_seq}, "time": {self._clock():.6f}, '
                f'{head}, "data": {content}}}'
            )
            event = Event(self._last_seq, topic, origin.msg_src, origin.procedure_id, text, subject)
            # Without the subject, which has all of the event once more as objects.
            self._events.append(event if subject is None else replace(event, subject=None))
            self._size += len(text)
            self._forget()
            if then is not None:
                then(event)
        return event

    def _forget(self) -> None:
        # The newest event stays whatever its size.
        while len(self._events) > self._length or (self._size > MAX_JOURNAL_BYTES and len(self._events) > 1):
            self._size -= len(self._events.popleft().json)

    def read(self, query: EventsQuery) -> str:
        """Return what a query asks for, as JSON: `{"epoch", "first_seq", "last_seq", "gap", "events": […]}`.

        `first_seq` and `last_seq` are those of the journal, of all topics. `gap` is true when something
        between `since` and the first event that is kept is lost, or when the epoch is another one; events
        are then returned from the oldest one on.
        """
        with self._lock:
            last = self._last_seq
            first = self._events[0].seq if self._events else last + 1
            same = query.epoch is None or query.epoch == self.epoch
            since = query.since if same else 0
            newer = list(islice(self._events, max(0, since + 1 - first), None))
        gap = not same or since + 1 < first or since > last
        wanted = (event for event in newer if query.wants(event.topic, event.procedure_id))
        chosen = islice(wanted, query.limit)
        events = ", ".join(event.json for event in chosen)
        return (
            f'{{"epoch": "{self.epoch}", "first_seq": {first}, "last_seq": {last}, '
            f'"gap": {json.dumps(gap)}, "events": [{events}]}}'
        )


def covers(prefix: str, topic: str) -> bool:
    """Return whether a topic is `prefix` or below it."""
    return topic == prefix or topic.startswith(prefix + ".")


_RESERVED: Final = ("procedure.lifecycle", "procedure.pool", "procedure.output", "request", "activity")


def is_reserved(topic: str) -> bool:
    """Return whether only the controller publishes on a topic, so that no script can misreport a state."""
    return any(covers(prefix, topic) for prefix in _RESERVED)
