"""The event stream of OETClient has the events of the bus, each exactly once and in order.

What arrives over a link is an event, or a reason to ask; whatever was missed is found by its number.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from ska_oso_oet.client.inbox import QUIET_TIME, Deadline
from ska_oso_oet.errors import ControllerUnreachable
from ska_oso_oet.event.journal import EventsQuery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ska_oso_oet.client.port import Controller

PAGE: Final = 1000
"""Events asked for at once."""


@dataclass(frozen=True)
class Event:
    """One event of the bus.

    `time` is in seconds since the epoch; `data` are the message's JSON values. `procedure_id` is the
    procedure that it comes from or speaks of, as the controller knows it; `msg_src` is what its sender calls
    itself.
    """

    epoch: str
    seq: int
    time: float
    topic: str
    msg_src: Any
    request_id: Any
    data: Any
    procedure_id: int | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Read what is known of a decoded event; a newer controller may send more, an older one less."""
        return cls(**{field.name: document[field.name] for field in fields(cls) if field.name in document})


class EventPage(NamedTuple):
    """Events of the journal, and what it holds: the numbers `first_seq` to `last_seq` of `epoch`."""

    epoch: str
    first_seq: int
    last_seq: int
    events: list[Event]

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Read the reply to GetEvents."""
        events = [Event.of(each) for each in document["events"]]
        return cls(document["epoch"], document["first_seq"], document["last_seq"], events)


@dataclass(frozen=True)
class Gap:
    """Events that nobody can have any more: the journal had already dropped them."""

    epoch: str
    first_seq: int
    last_seq: int


@dataclass(frozen=True)
class NewEpoch:
    """The controller has been restarted: numbering begins again, and what was live has been lost.

    `last_seq` is the last event of the `previous` epoch that was heard of: if there were more, they are lost.
    `previous` is "" when the stream was to begin at a number that this controller has not reached.
    """

    epoch: str
    previous: str
    last_seq: int = 0


@dataclass(frozen=True)
class Disconnected:
    """The controller does not reply. The stream goes on by itself when it is back."""

    message: str


@dataclass(frozen=True)
class Reconnected:
    """The controller replies again; what happened in between follows."""

    epoch: str


StreamItem = Event | Gap | NewEpoch | Disconnected | Reconnected


class EventStream:
    """The events of the bus, each exactly once and in order; iterate over it, and close it.

    `topics` selects branches of the topic tree: `procedure` stands for `procedure.lifecycle.created` too.
    `procedure_id` selects the events of one procedure. Without `since` the stream begins now. With it, it
    begins after that sequence number (of `epoch`, if there is one), as far as the controller's journal
    reaches. What cannot be had any more is reported by a Gap.
    """

    def __init__(
        self,
        controller: Controller,
        topics: Collection[str] = (),
        since: int | None = None,
        epoch: str | None = None,
        procedure_id: int | None = None,
    ) -> None:
        self._controller = controller
        self._wanted = EventsQuery.parse({"topics": list(topics), "procedure_id": procedure_id})
        self._pending: deque[StreamItem] = deque()
        self._connected = True
        self._closed = False
        self._inbox = controller.new_events()
        try:
            self._begin(since, epoch)
        except BaseException:
            self.close()
            raise

    def _begin(self, since: int | None, epoch: str | None) -> None:
        page = self._read(0 if since is None else since, 1)
        self.epoch = page.epoch
        self.seq = page.last_seq
        if since is None:
            return
        if since > page.last_seq and epoch in {None, self.epoch}:
            # A number of another life of the controller: wait for it, and everything before it is lost.
            epoch = ""
        self.seq, self.epoch = since, self.epoch if epoch is None else epoch
        self._catch_up()

    def get(self, timeout: float | None = None) -> StreamItem | None:
        """Wait for the next item, for ever or `timeout` seconds; None when there was none or it is closed."""
        deadline = Deadline(timeout)
        while not self._closed and not self._pending:
            if deadline.remaining == 0.0:
                self._try_to_catch_up()
                break
            self._hear(self._inbox.get(deadline.at_most(QUIET_TIME)))
        return self._pending.popleft() if self._pending and not self._closed else None

    def drain(self) -> Iterator[StreamItem]:
        """Everything that the controller has published until now and that was not yet read."""
        self._try_to_catch_up()
        while self._pending:
            yield self._pending.popleft()

    def close(self) -> None:
        """Unsubscribe; an iteration ends."""
        if not self._closed:
            self._closed = True
            self._inbox.close()

    def __iter__(self) -> Iterator[StreamItem]:
        while (item := self.get()) is not None:
            yield item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self, news: tuple[Event, ...] | None) -> None:
        if self._closed:
            return
        event = news[0] if news else None
        if event is not None and event.epoch == self.epoch and event.seq <= self.seq + 1:
            self._accept(event)
        else:
            self._try_to_catch_up()

    def _accept(self, event: Event) -> None:
        if event.seq <= self.seq:
            return
        if event.seq > self.seq + 1:
            self._pending.append(Gap(self.epoch, self.seq + 1, event.seq - 1))
        self.seq = event.seq
        if self._wanted.wants(event.topic, event.procedure_id):
            self._pending.append(event)

    def _try_to_catch_up(self) -> None:
        try:
            self._catch_up()
        except ControllerUnreachable as error:
            if self._connected:
                self._connected = False
                self._pending.append(Disconnected(str(error)))

    def _catch_up(self) -> None:
        while True:
            page = self._read(self.seq, PAGE)
            if not self._connected:
                self._connected = True
                self._pending.append(Reconnected(page.epoch))
            if page.epoch != self.epoch:
                self._pending.append(NewEpoch(page.epoch, self.epoch, self.seq))
                self.epoch, self.seq = page.epoch, 0
                continue
            for event in page.events:
                self._accept(event)
            if len(page.events) < PAGE:
                self._skip_to(page.last_seq)
                return

    def _skip_to(self, last_seq: int) -> None:
        if last_seq > self.seq:
            self._pending.append(Gap(self.epoch, self.seq + 1, last_seq))
            self.seq = last_seq

    def _read(self, since: int, limit: int) -> EventPage:
        return self._controller.read_events(EventsQuery.parse({"since": since, "limit": limit}))
