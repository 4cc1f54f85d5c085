"""The ends of long running commands, waited for on the event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ska_oso_oet.client.inbox import QUIET_TIME, Patience
from ska_oso_oet.errors import WaitTimeout

if TYPE_CHECKING:
    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.rest.calls import Calls


class Endings:
    """Waits for commands without a thread for each: the controller tells when one has ended.

    Which one that is, it is asked; and every QUIET_TIME as well, in case that it could not tell.
    """

    def __init__(self, controller: TangoController, calls: Calls) -> None:
        self._controller = controller
        self._calls = calls
        self._listening = False
        self._waiting: set[asyncio.Event] = set()

    async def of(self, command_id: str, within: float) -> CommandResult:
        """Wait for the end of a command; raises WaitTimeout after `within` seconds.

        A controller that does not answer is waited for as by every client: it may be started again.
        """
        await self._listen()
        clock = asyncio.get_running_loop().time
        end = clock() + within
        news = asyncio.Event()
        patience = Patience(clock=clock)
        self._waiting.add(news)
        try:
            while True:
                news.clear()
                try:
                    with patience.forgiving():
                        return await self._calls.ask(self._controller.result, command_id)
                except WaitTimeout:
                    if clock() >= end:
                        raise
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), QUIET_TIME)
        finally:
            self._waiting.discard(news)

    async def _listen(self) -> None:
        """Subscribe, once and for the life of the connection."""
        if self._listening:
            return
        self._listening = True
        tell = partial(self._tell, asyncio.get_running_loop())
        try:
            await self._calls.ask(self._controller.link.subscribe, "lrcFinished", tell)
        except BaseException:
            self._listening = False
            raise

    def _tell(self, loop: asyncio.AbstractEventLoop, _: Any) -> None:
        """Wake who waits; on a thread of the connection."""
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for news in self._waiting:
            news.set()
