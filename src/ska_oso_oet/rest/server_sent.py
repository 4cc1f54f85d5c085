"""Events of the bus and messages of the OET are written as server-sent events."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ska_oso_oet.client.events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from ska_oso_oet.client.events import StreamItem

_POSITION: Final = re.compile(r"([0-9A-Za-z-]{1,64}):([0-9]{1,18})")


class Position(NamedTuple):
    """A place in the order of events; as text `<epoch>:<seq>`, the id of a server-sent event."""

    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read an id; raises InvalidArgument for what no id of ours can be."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise InvalidArgument(f"Last-Event-ID is <epoch>:<number>, not {text[:80]!r}")
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


class Chunk(NamedTuple):
    """An item of the stream as it is sent, and where it belongs; a message of ours belongs nowhere.

    `own` is a message of the OET itself, which concerns everyone; other items are events of the bus, with the
    procedure that they come from or speak of.
    """

    position: Position | None
    content: bytes
    own: bool = True
    procedure_id: int | None = None

    def concerns(self, procedure_id: int | None) -> bool:
        """Return whether who wants the events of one procedure, or None for all, wants it."""
        return self.own or procedure_id in {None, self.procedure_id}


def encode(item: StreamItem) -> Chunk:
    """Write an item of the bus as a server-sent event."""
    match item:
        case Event():
            # What the controller knows of an event counts, whatever a script calls the same.
            ids = {"request_id": item.request_id, "procedure_id": item.procedure_id}
            known = {name: value for name, value in ids.items() if value is not None}
            source = {"msg_src": item.msg_src, "topic": item.topic, "time": item.time}
            data = {**item.data, **known, **source}
            chunk = message("", data, Position(item.epoch, item.seq))
            return chunk._replace(own=False, procedure_id=item.procedure_id)
        case Gap():
            lost = {"epoch": item.epoch, "first_seq": item.first_seq, "last_seq": item.last_seq}
            return message("gap", lost, Position(item.epoch, item.last_seq))
        case NewEpoch():
            return message("epoch", vars(item), Position(item.epoch, 0))
        case Disconnected():
            return message("disconnected", vars(item))
        case Reconnected():
            return message("reconnected", vars(item))


def readiness(reason: str) -> Chunk:
    """Write why scripts cannot be started; null when they can."""
    return message("readiness", {"why_not_ready": reason or None})


def message(name: str, data: dict[str, Any], position: Position | None = None) -> Chunk:
    """Write an item; a message of the OET itself has a name."""
    lines = [f"event:{name}"] if name else []
    lines.append(f"data:{json.dumps(data)}")
    if position is not None:
        lines.append(f"id:{position}")
    return Chunk(position, ("\n".join(lines) + "\n\n").encode())
