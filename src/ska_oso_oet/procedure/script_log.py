"""What a script logs, on its way to the controller."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ska_oso_oet.mptools import QueueClosed

if TYPE_CHECKING:
    from collections.abc import Callable


def send_log(tell: Callable[[str, str], None]) -> None:
    """Have `tell(level, text)` called with each record that the root logger gets, from INFO on."""
    logging.root.handlers = [_Sender(tell)]
    logging.root.setLevel(logging.INFO)


class _Sender(logging.Handler):
    """Sends what a script logs to the controller, with its level."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._tell(record.levelname, self.format(record))
        except QueueClosed:
            return  # the controller is gone, and so is this process in a moment
        except Exception:  # noqa: BLE001 - what a script logs must not break the script (logging.Handler)
            self.handleError(record)
