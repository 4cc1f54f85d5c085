"""These ports are passed to a supervised process by whoever makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.mptools.exits import ExitStatus
    from ska_oso_oet.mptools.message import EventMessage
    from ska_oso_oet.mptools.orphans import Orphans
    from ska_oso_oet.mptools.pipes import Stream
    from ska_oso_oet.mptools.proc import Proc


@dataclass(frozen=True, slots=True)
class Keepers:
    """Who deals with a process before it is made, and with what it leaves.

    `withdraw(number)` withdraws the request for it, and returns False when it is too late.
    `expect_exit(number)` makes sure that the fork server reports how the process has ended, or counts as
    lost.
    """

    withdraw: Callable[[int], bool]
    expect_exit: Callable[[int], None]
    orphans: Orphans


class ProcListener(Protocol):
    """Told what happens to a process, on the engine's thread; none of it may block."""

    def on_message(self, proc: Proc, message: EventMessage) -> None:
        """Receive a message of the worker."""

    def on_output(self, proc: Proc, stream: Stream, data: bytes) -> None:
        """Receive what the process, or one that it started, wrote."""

    def on_exit(self, proc: Proc, status: ExitStatus) -> None:
        """Know that the operating system has confirmed the end; the last call for this process."""
