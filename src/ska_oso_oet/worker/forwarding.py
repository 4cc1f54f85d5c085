"""Events are turned into the messages that scripts get of them."""

from __future__ import annotations

import inspect
import json
from functools import cache
from typing import TYPE_CHECKING, Any

from ska_oso_oet.event import topics
from ska_oso_oet.procedure.changes import ProcedureChange, ScriptEvent

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event


def published_by_script(event: Event) -> ScriptEvent | None:
    """Return what a script has published, if the event is about that."""
    if isinstance(event.subject, ProcedureChange):
        return event.subject.event
    return event.subject if isinstance(event.subject, ScriptEvent) else None


def arguments_of(event: Event) -> dict[str, Any]:
    """Return the arguments with which an event is published to a script's listeners."""
    if (published := published_by_script(event)) is not None:
        return published.arguments
    content = json.loads(event.json)
    known = {"msg_src": content["msg_src"], "request_id": content["request_id"], **content["data"]}
    return {name: known.get(name) for name in _parameters(event.topic)}


@cache
def _parameters(topic: str) -> tuple[str, ...]:
    """Name the data that one of the controller's topics has in the topic tree."""
    node: Any = topics
    for part in topic.split("."):
        node = getattr(node, part)
    return tuple(inspect.signature(node.msgDataSpec).parameters)
