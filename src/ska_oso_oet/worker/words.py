"""Messages of a ScriptWorker are read and checked here: a script can write into its channel what it likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field, StrictStr

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.event.journal import is_reserved
from ska_oso_oet.models import Model
from ska_oso_oet.procedure.reports import Report, parse_report
from ska_oso_oet.worker.orders import Word

if TYPE_CHECKING:
    from ska_oso_oet.mptools import EventMessage

MAX_TOPIC: Final = 500
"""Characters of the name of a topic."""


class Published(Model):
    """An event that a script published."""

    topic: Annotated[StrictStr, Field(min_length=1, max_length=MAX_TOPIC)]
    data: dict[str, Any]


class LogRecord(Model):
    """A record of a script's log."""

    level: Annotated[StrictStr, Field(max_length=100)]
    text: StrictStr


class Interest(Model):
    """The topics that a script listens to."""

    topics: list[StrictStr]


AnyWord = Report | Published | LogRecord | Interest


def read_word(message: EventMessage) -> AnyWord:
    """Read a message of a worker; raises InvalidArgument when it is none that a worker may send."""
    content = message.msg
    match message.msg_type, content:
        case Word.REPORT, dict():
            return parse_report(content)
        case Word.PUBSUB, dict():
            return _open(Published.parse(content))
        case Word.INTEREST, list():
            return Interest.parse({"topics": content})
        case Word.LOG, dict():
            return LogRecord.parse(content)
    raise InvalidArgument(f"{message.msg_type[:80]!r} with {type(content).__name__} is no word of a worker")


def _open(published: Published) -> Published:
    if is_reserved(published.topic):
        raise InvalidArgument(f"an event on {published.topic}, on which only the controller publishes")
    return published
