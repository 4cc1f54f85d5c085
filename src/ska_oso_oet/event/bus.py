"""The event bus of the controller: a typed face of one pypubsub Publisher, behind the journal."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pubsub.core.publisher import Publisher

from ska_oso_oet.event.journal import Origin
from ska_oso_oet.event.tree import topic_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pubsub.core.topicobj import Topic

    from ska_oso_oet.event.journal import Event, EventJournal

_ROOT = "bus"
_log = logging.getLogger(__name__)


def _log_failure(listener: str, topic: Topic) -> None:
    # A bug in one listener must not cost the others the event.
    _log.exception("listener %s failed on an event of %s", listener, topic.name)


class Recorder(Protocol):
    """Who keeps events so that what is told stays true after this process has died."""

    def on_event(self, event: Event) -> None:
        """Take an event that has got its place in the order; called with locks held, returns at once."""

    def settle(self, event: Event) -> None:
        """Return once nobody who is told of the event can find later that it has not been."""


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
    one event at a time, in the order of the journal, on the thread behind `defer`, which takes a function and
    calls it later; it must not block, nor call the function at once.
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
        self._known = topic_names()
        self._publisher = Publisher()
        self._publisher.setListenerExcHandler(_log_failure)

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
        """Announce an event; it is in the journal when this returns. Origin says what the ids are.

        May be called with locks held: nothing of anyone else is called before it returns.
        """
        origin = Origin(msg_src, request_id, procedure_id)
        return self.journal.append(topic, origin, data, subject=subject, then=self._hand_over)

    def subscribe(self, listener: Callable[[Event], None], topic: str = "") -> None:
        """Have a listener called with each event of a topic of the tree or below it ("": every event).

        The bus does not keep the listener alive: its owner does.
        """
        self._publisher.subscribe(listener, f"{_ROOT}.{topic}" if topic else _ROOT)

    def unsubscribe(self, listener: Callable[[Event], None], topic: str = "") -> None:
        """Call a listener no more."""
        self._publisher.unsubscribe(listener, f"{_ROOT}.{topic}" if topic else _ROOT)

    def _hand_over(self, event: Event) -> None:
        if self._recorder is not None:
            self._recorder.on_event(event)
        self._defer(_Delivery(self._dispatch, event))

    def _dispatch(self, event: Event) -> None:
        if self._recorder is not None:
            self._recorder.settle(event)
        self._publisher.sendMessage(self._nearest(event.topic), event=event)

    def _nearest(self, topic: str) -> str:
        """Find the topic of the tree that listeners know: scripts make up topics without end."""
        parts = topic.split(".")
        while parts and ".".join(parts) not in self._known:
            parts.pop()
        return ".".join([_ROOT, *parts])
