"""Frames: whatever the stream's pieces, the messages are the same; what is no message is refused."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.mptools.message import (
    MAX_FRAME,
    EventMessage,
    MessageDecoder,
    MessageTooLarge,
    ProtocolError,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NEXT = EventMessage("next", "NEXT", None)
MESSAGES = st.lists(st.builds(EventMessage, st.text(), st.text(), VALUES), max_size=6)


def frame(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


@given(MESSAGES, st.data())
def test_any_split_of_the_stream_gives_the_same_messages(messages: list[EventMessage], data: Any) -> None:
    stream = b"".join(message.encode() for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = MessageDecoder()
    found: list[EventMessage] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert found == messages
    # Nothing is left of them: what comes next is understood.
    assert list(decoder.feed(NEXT.encode())) == [NEXT]


def test_what_has_too_many_levels_is_neither_sent_nor_read() -> None:
    """A reader would need as much of its stack, wherever it is."""
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    with pytest.raises(MessageTooLarge, match="levels"):
        EventMessage("source", "TYPE", deep).encode()
    with pytest.raises(ProtocolError, match="levels"):
        list(MessageDecoder().feed(frame(json.dumps(["source", "TYPE", deep]).encode())))
    wide = EventMessage("source", "TYPE", [[[]]] * 600)
    assert list(MessageDecoder().feed(wide.encode())) == [wide]


@given(st.binary(min_size=4, max_size=200))
def test_garbage_is_refused_or_waits_for_more(garbage: bytes) -> None:
    decoder = MessageDecoder()
    with suppress(ProtocolError):
        assert len(list(decoder.feed(garbage))) <= len(garbage) // 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"7",
        b"null",
        b"{}",
        b"[]",
        b'["a"]',
        b'["a", "b"]',
        b'["a", "b", 1, 2]',
        b'[1, "b", null]',
        b'["a", 2, null]',
        b'"abc"',
        b'{"a": 1, "b": 2, "c": 3}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'["a", "b", ' + b"9" * 5000 + b"]",
    ],
)
def test_a_frame_that_is_no_message_is_refused(body: bytes) -> None:
    decoder = MessageDecoder()
    with pytest.raises(ProtocolError):
        list(decoder.feed(frame(body)))


def test_a_frame_that_is_announced_too_big_is_refused_at_once() -> None:
    with pytest.raises(ProtocolError, match=str(MAX_FRAME + 1)):
        list(MessageDecoder().feed(struct.pack("!I", MAX_FRAME + 1)))


def test_messages_before_the_garbage_are_not_lost() -> None:
    good = EventMessage("a", "b", 1)
    stream = MessageDecoder().feed(good.encode() + frame(b"x"))
    assert next(stream) == good
    with pytest.raises(ProtocolError):
        next(stream)


def test_a_message_that_is_too_large_is_refused_where_it_is_sent() -> None:
    with pytest.raises(MessageTooLarge):
        EventMessage("a", "b", "x" * MAX_FRAME).encode()


@pytest.mark.parametrize("content", [object(), {1, 2}, b"x", float("nan"), float("inf"), {(1, 2): 3}])
def test_what_is_not_json_is_refused_where_it_is_sent(content: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        EventMessage("a", "b", content).encode()


def test_a_frame_is_ascii_json() -> None:
    encoded = EventMessage("a", "b", "\u2713\udcff").encode()
    assert encoded.isascii()
    assert json.loads(encoded[4:]) == ["a", "b", "\u2713\udcff"]
