"""The ends of long running commands are waited for on the event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ska_oso_oet.client.inbox import QUIET_TIME, Deadline, Patience
from ska_oso_oet.client.waiting import LRC_EVENT, may_have_ended
from ska_oso_oet.rest.subscriptions import Subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.rest.calls import Calls


class CommandWaits:
    """Waits for commands without a thread for each: the controller pushes which one has ended.

    How, it is asked then; and every `quiet_time` (s) as well, in case that the push was lost.
    """

    def __init__(self, controller: TangoController, calls: Calls, *, quiet_time: float = QUIET_TIME) -> None:
        self._controller = controller
        self._quiet_time = quiet_time
        self._calls = calls
        self._subscriptions = Subscriptions(controller, calls)
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def of(self, command_id: str, within: float) -> CommandResult:
        """Wait for the end of a command; raises WaitTimeout after `within` seconds.

        Several may wait for one command: stops of a procedure share it. A controller that does not reply
        is waited for as by every client: it may be started again.
        """
        await self._subscriptions.begin(LRC_EVENT, partial(self._on_event, asyncio.get_running_loop()))
        deadline = Deadline(within)
        news = asyncio.Event()
        self._waiting.setdefault(command_id, set()).add(news)
        patience = Patience()
        try:
            while True:
                news.clear()
                with patience.forgiving():
                    result = await self._calls.ask(self._controller.result, command_id)
                    if result is not None:
                        return result
                deadline.check(f"command {command_id} has not ended")
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), deadline.at_most(self._quiet_time))
        finally:
            self._waiting[command_id].discard(news)
            if not self._waiting[command_id]:
                del self._waiting[command_id]

    def _on_event(self, loop: asyncio.AbstractEventLoop, event: Sequence[str] | None) -> None:
        """Wake who waits; on a thread of the connection."""
        if not event or event[0] in self._waiting:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(self._wake, event)

    def _wake(self, event: Sequence[str] | None) -> None:
        for command_id, waiting in self._waiting.items():
            if may_have_ended(event, command_id):
                for news in waiting:
                    news.set()
