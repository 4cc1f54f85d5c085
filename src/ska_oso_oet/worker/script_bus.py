"""ScriptBus is the event bus inside a ScriptWorker: pypubsub's publisher, bridged to the controller.

Scripts use `from pubsub import pub` as they would anywhere.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from pubsub import pub
from pubsub.core import INotificationHandler

from ska_oso_oet.event import topics
from ska_oso_oet.event.journal import is_reserved
from ska_oso_oet.event.tree import topic_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from pubsub.core.listener import Listener
    from pubsub.core.topicobj import Topic

_log = logging.getLogger(__name__)

# Done once, in the fork server, for all workers.
pub.addTopicDefnProvider(topics, pub.TOPIC_TREE_FROM_CLASS)
for _name in topic_names():
    pub.getDefaultTopicMgr().getOrCreateTopic(_name)


class ScriptBus:
    """Sends what is published here to the controller, and publishes here what the controller sends.

    `send(topic, data)` raises TypeError or ValueError when the data is not JSON; `on_interest(topics)` is
    called with the topics that the script listens to, whenever they change.
    """

    def __init__(
        self, send: Callable[[str, dict[str, Any]], None], on_interest: Callable[[list[str]], None]
    ) -> None:
        self._send = send
        self._interest = _Interest(on_interest)
        self._delivering = threading.local()

    def join(self) -> None:
        """Begin to hear what is published and subscribed to in this process."""
        pub.subscribe(self.republish, pub.ALL_TOPICS)
        pub.addNotificationHandler(self._interest)
        pub.setNotificationFlags(subscribe=True, unsubscribe=True)

    def republish(self, published_topic_: Topic = pub.AUTO_TOPIC, **kwargs: Any) -> None:
        """Send an event that was published here to the controller (a listener of all topics).

        An event that is not JSON or too large, or on a topic of the controller's own, is named in the log and
        goes no further; the script goes on. The first parameter has a name that no event's data will have.
        """
        name = published_topic_.getName()
        if getattr(self._delivering, "event", None) == (name, kwargs):
            return  # the controller has it; what a listener publishes in reply is new
        if is_reserved(name):
            _log.error("an event on %s was not sent: that topic is the controller's", name)
            return
        try:
            self._send(name, kwargs)
        except (TypeError, ValueError, RecursionError) as error:
            _log.error("an event on %s was not sent: %s", name, error)

    def deliver(self, topic: str, data: dict[str, Any]) -> None:
        """Publish here an event that comes from the controller."""
        self._delivering.event = (topic, data)
        try:
            pub.sendMessage(topic, **data)
        except Exception:  # noqa: BLE001 - the boundary between the bus and the script's listeners
            # One failed, or the data does not fit the topic as the script defined it.
            _log.exception("an event on %s could not be delivered to this script", topic)
        finally:
            self._delivering.event = None


class _Interest(INotificationHandler):  # type: ignore[misc]
    """Knows which topics the script listens to, so that no other events need to be sent to it."""

    def __init__(self, on_interest: Callable[[list[str]], None]) -> None:
        self._on_interest = on_interest
        self._topics: list[str] = []

    def notifySubscribe(self, pubListener: Listener, topicObj: Topic, newSub: bool) -> None:  # noqa: N802, N803, FBT001
        """Note a new subscription (called by pypubsub)."""
        del pubListener
        if newSub:
            self._change([*self._topics, _prefix(topicObj)])

    def notifyUnsubscribe(self, pubListener: Listener, topicObj: Topic) -> None:  # noqa: N802, N803
        """Note the end of one (called by pypubsub)."""
        del pubListener
        rest = list(self._topics)
        if (prefix := _prefix(topicObj)) in rest:
            rest.remove(prefix)
            self._change(rest)

    def _change(self, wanted: list[str]) -> None:
        before, self._topics = set(self._topics), wanted
        if set(wanted) != before:
            self._on_interest(sorted(set(wanted)))

    def notifySend(self, stage: str, topicObj: Topic, pubListener: Listener | None = None) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyNewTopic(self, topicObj: Topic, description: str, required: Any, argsDocs: Any) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyDelTopic(self, topicName: str) -> None:  # noqa: N802, N803
        """Not asked for."""

    def notifyDeadListener(self, pubListener: Listener, topicObj: Topic) -> None:  # noqa: N802, N803
        """Note that a listener was collected (called by pypubsub)."""
        self.notifyUnsubscribe(pubListener, topicObj)


def _prefix(topic: Topic) -> str:
    """Name a topic as the bus does: "" is all of them."""
    name: str = topic.getName()
    return "" if name == pub.ALL_TOPICS else name
