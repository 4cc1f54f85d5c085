"""Departures know which workers have ended, and what of them is still there; no process is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


class Departures:
    """Workers that have ended, by number, with the processes that they may have left behind.

    Once the parent of a process is dead, nothing shows which worker has left it. So a process that appears
    counts for all workers that have ended and are not gone. Then no worker counts as gone too early.
    """

    def __init__(self) -> None:
        self._left: dict[int, set[int]] = {}
        self._begun: set[int] = set()

    def __iter__(self) -> Iterator[tuple[int, set[int]]]:
        """List the departures that are under way: the worker, and what was there at the last look."""
        return ((number, self._left[number]) for number in self._begun)

    def begin(self, number: int) -> None:
        """Know that a worker has ended."""
        self._begun.add(number)
        self._left.setdefault(number, set())

    def forget(self, number: int) -> None:
        """Leave a worker out of account."""
        self._begun.discard(number)
        self._left.pop(number, None)

    def left_by(self, number: int) -> frozenset[int]:
        """Name the processes that may be this worker's and that were there at the last look."""
        return frozenset(self._left.get(number, ()))

    def look(self, there: Collection[int], ending: Iterable[int] = ()) -> list[int]:
        """Note the processes that are there and should not be; returns the workers that are gone for good.

        `ending` are workers that have ended, whether or not their departure has begun here.
        """
        for number in ending:
            self._left.setdefault(number, set())
        appeared = set(there).difference(*self._left.values())
        for left in self._left.values():
            left.intersection_update(there)
            left.update(appeared)
        gone = [number for number in self._left if number in self._begun and not self._left[number]]
        for number in gone:
            self.forget(number)
        return gone
