"""EarlierRuns keeps what ended before the controller was started, as long as it belongs to the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _State(Protocol):
    @property
    def final(self) -> bool:
        """Whether it has ended."""


class _Summary(Protocol):
    @property
    def state(self) -> _State:
        """Where it stands."""


S = TypeVar("S", bound=_Summary)


class EarlierRuns(Generic[S]):
    """Procedures, or activities, of earlier runs: listed while fewer than `length` have ended in this one."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._ended: Sequence[S] = ()

    def remember(self, ended: Sequence[S]) -> None:
        """Keep the newest of them, oldest first."""
        self._ended = tuple(ended)

    def before(self, listed: Iterable[S]) -> list[S]:
        """Put those for which there is room before what this run has."""
        own = list(listed)
        room = max(0, self._length - sum(each.state.final for each in own))
        return [*self._ended[max(0, len(self._ended) - room) :], *own]
