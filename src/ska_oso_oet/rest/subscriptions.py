"""Attributes of the controller are subscribed to when they are first needed, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.client.tango_controller import TangoController
    from ska_oso_oet.rest.calls import Calls


class Subscriptions:
    """Subscribes to attributes, for the life of the connection; what failed is tried again."""

    def __init__(self, controller: TangoController, calls: Calls) -> None:
        self._controller = controller
        self._calls = calls
        self._begun: set[str] = set()

    async def begin(self, attribute: str, listener: Callable[[Any], None]) -> None:
        """Have `listener` called, on a thread of the connection, unless the attribute has one."""
        if attribute in self._begun:
            return
        self._begun.add(attribute)
        try:
            await self._calls.ask(self._controller.link.subscribe, attribute, listener)
        except BaseException:
            self._begun.discard(attribute)
            raise
