"""MPQueue: one direction, one order, and answers instead of exceptions from the `safe_` methods."""

from __future__ import annotations

import socket
from queue import Empty, Full
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.mptools import EventMessage, MPQueue, QueueClosed, ShutdownEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

A, B = EventMessage("me", "a", 1), EventMessage("me", "b", {"x": [None]})


@pytest.fixture
def queue() -> Iterator[MPQueue]:
    queue = MPQueue()
    yield queue
    queue.safe_close()


def test_first_in_first_out(queue: MPQueue) -> None:
    queue.put(A)
    queue.put(B)
    assert [queue.get(0), queue.get(0)] == [A, B]
    with pytest.raises(Empty):
        queue.get(0)


def test_safe_get_answers_none_when_there_is_nothing(queue: MPQueue) -> None:
    assert queue.safe_get() is None
    assert queue.safe_get(timeout=None) is None
    assert queue.safe_put(A)
    assert queue.safe_get() == A


def test_a_full_queue_refuses(queue: MPQueue) -> None:
    item = EventMessage("me", "x", "x" * 1000)
    put = 0
    while queue.safe_put(item, timeout=None):
        put += 1
    assert put > 10
    with pytest.raises(Full):
        queue.put(item, timeout=0)
    assert len(list(queue.drain())) == put


class Interrupted(socket.socket):
    """A socket in whose first sendall a signal comes, whose handler adds a message too."""

    queue: MPQueue | None = None

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        queue, self.queue = self.queue, None
        half = len(bytes(data)) // 2
        super().sendall(bytes(data)[:half], flags)
        if queue is not None:
            queue.put(B)
        super().sendall(bytes(data)[half:], flags)


def test_what_a_signal_handler_adds_follows_what_it_interrupted() -> None:
    near, far = socket.socketpair()
    with far, Interrupted(fileno=near.detach()) as writer:
        writer.queue = MPQueue(writer=writer)
        writer.queue.put(A)
        reader = MPQueue(reader=far)
        assert [reader.get(0), reader.get(0)] == [A, B]


def test_drain_yields_what_there_is(queue: MPQueue) -> None:
    queue.put(A)
    queue.put(B)
    assert list(queue.drain()) == [A, B]
    assert list(queue.drain()) == []


def test_a_closed_queue_takes_and_gives_nothing(queue: MPQueue) -> None:
    queue.put(A)
    assert queue.safe_close() == 1
    assert queue.safe_close() == 0
    assert not queue.safe_put(A)
    assert queue.safe_get() is None
    with pytest.raises(QueueClosed):
        queue.put(A)
    with pytest.raises(QueueClosed):
        queue.get(0)


def test_waiting_ends_when_something_else_is_asked_for(queue: MPQueue) -> None:
    shutdown = ShutdownEvent()
    shutdown.set()
    with pytest.raises(Empty):
        queue.get(unless=shutdown)
    queue.put(A)
    assert queue.get(unless=shutdown) == A
    shutdown.close()


def test_any_json_value_is_an_item(queue: MPQueue) -> None:
    items = ["text", 0, False, None, [], {"item": 1}, ["me", "a", 1], {"msg_src": "me"}, A]
    for item in items:
        assert queue.safe_put(item)
    assert list(queue.drain()) == items


@pytest.mark.parametrize("item", [object(), b"bytes", float("nan"), EventMessage("me", "x", object())])
def test_what_is_not_json_is_refused(queue: MPQueue, item: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        queue.safe_put(item)
    assert queue.safe_get() is None
