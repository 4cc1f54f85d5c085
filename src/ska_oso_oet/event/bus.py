"""The event bus of the controller puts each event into the journal, and then calls the listeners."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ska_oso_oet.event.journal import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ska_oso_oet.event.journal import Event, EventJournal

S = TypeVar("S")
_log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Who keeps events, so that what listeners have heard stays true after this process has died."""

    def on_event(self, event: Event) -> None:
        """Record an event that has its place in the order; called with locks held, returns at once."""

    def settle(self, event: Event) -> None:
        """Return once nobody who has heard of the event can find later that it never was."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """An event on its way to listeners; its `size` lets whoever queues it know how much waits."""

    dispatch: Callable[[Event], None]
    event: Event

    def __call__(self) -> None:
        self.dispatch(self.event)

    @property
    def size(self) -> int:
        return len(self.event.json)


class EventBus:
    """Publishes events: into the journal first, then to listeners in this process.

    `recorder` has each before any listener, and holds the listeners up where it must. Listeners are called
    one event at a time, in the order of the journal and of their subscriptions, on the thread behind `defer`,
    which accepts a function and calls it later; it must not block, nor call the function at once. They
    subscribe before the first event is published.
    """

    def __init__(
        self,
        journal: EventJournal,
        defer: Callable[[Callable[[], None]], None],
        recorder: Recorder | None = None,
    ) -> None:
        self.journal = journal
        self._defer = defer
        self._recorder = recorder
        self._listeners: list[tuple[type[object], Callable[[Any, Event], None]]] = []

    def publish(
        self,
        topic: str,
        msg_src: str,
        data: Mapping[str, Any],
        *,
        request_id: str | float | None = None,
        procedure_id: int | None = None,
        subject: object = None,
    ) -> Event:
        """Announce an event; it is in the journal when this returns. Origin describes the ids.

        May be called with locks held: nothing of anyone else is called before it returns.
        """
        origin = Origin(msg_src, request_id, procedure_id)
        return self.journal.append(topic, origin, data, subject=subject, then=self._hand_over)

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """Have a listener called with each event."""
        self.follow(object, lambda _, event: listener(event))

    def follow(self, kind: type[S], listener: Callable[[S, Event], None]) -> None:
        """Have a listener called with the subject of each event that speaks of this kind, and the event."""
        self._listeners.append((kind, listener))

    def _hand_over(self, event: Event) -> None:
        if self._recorder is not None:
            self._recorder.on_event(event)
        self._defer(_Delivery(self._dispatch, event))

    def _dispatch(self, event: Event) -> None:
        if self._recorder is not None:
            self._recorder.settle(event)
        for kind, listener in self._listeners:
            if isinstance(event.subject, kind):
                _call(listener, event)


def _call(listener: Callable[[Any, Event], None], event: Event) -> None:
    try:
        listener(event.subject, event)
    except Exception:  # noqa: BLE001 - a bug in one listener must not cost the others the event
        _log.exception("listener %r failed on an event of %s", listener, event.topic)
