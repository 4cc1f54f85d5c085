"""Readiness asks the controller of a stack until it can start scripts."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from ska_oso_oet.embedded.child import Child, StackError
from ska_oso_oet.embedded.parts import CONTROLLER_DEVICE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OET: Final = [sys.executable, "-P", "-c", "from ska_oso_oet.cli import main; main()"]


class Readiness:
    """Asks the controller. That needs Tango, which has threads, and so a process of its own."""

    def __init__(self, log_dir: Path) -> None:
        self._asking = Child("readiness", [*_OET, "status", "--wait", "--device", CONTROLLER_DEVICE], log_dir)

    @property
    def why_not(self) -> str:
        """Why scripts cannot be started, as far as it is known."""
        return self._asking.tail[-1] if self._asking.tail else "it has not said anything yet"

    async def wait(self, environment: Mapping[str, str], controller: Child, grace: float) -> None:
        """Wait until scripts can be started, for however long the controller is out of use.

        Raises StackError, with the end of its log, when it is in a fault, of which no waiting helps.
        """
        self._asking.spawn(environment)
        try:
            code = await asyncio.shield(self._asking.exit)
        finally:
            await self._asking.stop(grace)
        if code != 0:
            raise StackError(f"scripts cannot be started: {self.why_not}; {controller.last_words()}")
