"""Messages between the controller and its workers are JSON in length-prefixed frames.

What crosses a pipe is data. Nothing is ever unpickled, so that whatever a user's script makes or sends
cannot run code in the controller.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.nesting import MAX_SENT, is_nested_deeper

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes in the largest message; a larger one is refused where it is sent."""

_HEADER: Final = struct.Struct("!I")
_ITEM: Final = "item"


MAX_WORD: Final = 16 * 1024 * 1024
"""Bytes in the largest message of a worker: it runs what others wrote, and the controller reads it."""


class MessageTooLarge(ValueError):
    """A message has more bytes, or more levels, than may be sent."""


class ProtocolError(Exception):
    """The other side sent something that is no message."""


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One message with its metadata: who sent it, of which kind it is, and its JSON-ready content."""

    msg_src: str
    msg_type: str
    msg: Any = None

    def encode(self, limit: int = MAX_FRAME) -> bytes:
        """Make the frame of this message.

        Raises TypeError or ValueError when the content is not JSON, MessageTooLarge when there is too
        much of it.
        """
        return _frame([self.msg_src, self.msg_type, self.msg], limit)


def encode_item(item: object, limit: int = MAX_FRAME) -> bytes:
    """Make the frame of an EventMessage or of any other JSON value; raises as `EventMessage.encode` does."""
    return item.encode(limit) if isinstance(item, EventMessage) else _frame({_ITEM: item}, limit)


class ItemDecoder:
    """Cuts a stream of bytes into messages and other values, each of at most `limit` bytes."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Read more of the stream and yield each item that is now complete.

        Raises ProtocolError at the first thing that is none; the stream is of no use after that.
        """
        self._buffer += data
        start = 0
        try:
            while (end := self._frame_end(start)) is not None:
                body = bytes(self._buffer[start + _HEADER.size : end])
                start = end
                yield self._decode(body)
        finally:
            del self._buffer[:start]

    def _decode(self, body: bytes) -> Any:
        content = _read(body)
        if isinstance(content, dict) and list(content) == [_ITEM]:
            return content[_ITEM]
        return _message(content)

    def _frame_end(self, start: int) -> int | None:
        if len(self._buffer) - start < _HEADER.size:
            return None
        (length,) = _HEADER.unpack_from(self._buffer, start)
        if length > self._limit:
            raise ProtocolError(f"a frame of {length} bytes was announced; at most {self._limit} are allowed")
        end: int = start + _HEADER.size + length
        return end if len(self._buffer) >= end else None


class MessageDecoder(ItemDecoder):
    """Cuts a stream of bytes into messages: whatever else comes is refused."""

    def feed(self, data: bytes) -> Iterator[EventMessage]:
        """Read more of the stream and yield each message that is now complete; see `ItemDecoder.feed`."""
        return super().feed(data)

    def _decode(self, body: bytes) -> EventMessage:
        return _message(_read(body))


def _frame(content: object, limit: int) -> bytes:
    body = json.dumps(content, allow_nan=False).encode("ascii")
    if len(body) > limit:
        raise MessageTooLarge(f"it has {len(body)} bytes, and at most {limit} are allowed")
    if _is_too_deep(body, content):
        raise MessageTooLarge(f"it has more than {MAX_SENT} levels of lists and objects in each other")
    return _HEADER.pack(len(body)) + body


def _is_too_deep(body: bytes, content: object) -> bool:
    """Look at the content only where there are brackets enough for so many levels."""
    return body.count(b"[") + body.count(b"{") > MAX_SENT and is_nested_deeper(content, MAX_SENT)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _read(body: bytes) -> Any:
    try:
        content = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame is no message: {error}") from None
    if _is_too_deep(body, content):
        raise ProtocolError(f"a frame is no message: it has more than {MAX_SENT} levels")
    return content


def _message(content: Any) -> EventMessage:
    match content:
        case [str(msg_src), str(msg_type), msg]:
            return EventMessage(msg_src, msg_type, msg)
    raise ProtocolError("a frame is no message: it is no list of a source, a type and a content")
