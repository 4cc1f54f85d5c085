"""States of procedures and activities, waited for on the event loop."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ska_oso_oet.client.inbox import QUIET_TIME, Deadline
from ska_oso_oet.errors import OetError
from ska_oso_oet.rest.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.client.waiting import Kind, S
    from ska_oso_oet.rest.calls import Calls

    Waiting = tuple[str, int, asyncio.Event]


class StateWaits:
    """Waits without a thread for each request: the controller reports what changes.

    How it stands is asked for then; and every QUIET_TIME as well, in case that a report was lost.
    """

    def __init__(self, controller: TangoController, calls: Calls) -> None:
        self._controller = controller
        self._calls = calls
        self._subscriptions = Subscriptions(controller, calls)
        self._waiting: set[Waiting] = set()

    async def until(self, kind: Kind[S], known: S, reached: Callable[[S], bool], within: float) -> S:
        """Wait until `reached` is true of one of a kind, it has ended, or `within` seconds have passed.

        Returns how it stands then. The request that made it has succeeded: what goes wrong later, such as the
        loss of the controller, ends the waiting and nothing else.
        """
        deadline = Deadline(within)
        waiting = kind.word, known.id, asyncio.Event()
        self._waiting.add(waiting)
        try:
            with suppress(OetError):
                hear = partial(self._hear, asyncio.get_running_loop(), kind.word)
                await self._subscriptions.begin(f"{kind.word}Changed", hear)
                while not (known.state.final or reached(known)) and deadline.remaining:
                    waiting[2].clear()
                    known = await self._calls.ask(self._controller.described, kind, known.id)
                    if not (known.state.final or reached(known)):
                        with suppress(TimeoutError):
                            await asyncio.wait_for(waiting[2].wait(), deadline.at_most(QUIET_TIME))
        finally:
            self._waiting.discard(waiting)
        return known

    def _hear(self, loop: asyncio.AbstractEventLoop, word: str, text: str | None) -> None:
        """Wake who waits; on a thread of the connection."""
        if self._waiting:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._wake, word, text)

    def _wake(self, word: str, text: str | None) -> None:
        changed = (json.loads(text).get(word) or {}).get("id") if text else None
        for kind, number, news in self._waiting:
            if kind == word and changed in {None, number}:
                news.set()
