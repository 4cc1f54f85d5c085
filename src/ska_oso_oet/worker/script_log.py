"""ScriptLog sends what a script logs to the controller."""

from __future__ import annotations

import json
import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from ska_oso_oet.mptools import QueueClosed
from ska_oso_oet.procedure.bounds import cut

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_PACKET: Final = 1 << 17
"""Bytes of a record of a forked process: a socket takes so many in one piece."""
_MAX_LEVEL: Final = 100
_MAX_TEXT: Final = 50_000
"""Characters of a record."""


class ScriptLog(logging.Handler):
    """Sends what a script logs to the controller, with its level.

    `send(level, text)` is called with each record. Those of processes that the script has forked come through
    a socket, each in one piece, and are sent by `relay`, since two processes cannot write into one channel.
    """

    def __init__(self, send: Callable[[str, str], None]) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self._to_controller = send
        self._pid = os.getpid()
        self._relayed, self._children = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def install(self) -> None:
        """Become the only handler of the root logger, for records from INFO on."""
        logging.root.handlers = [self]
        logging.root.setLevel(logging.INFO)

    def fileno(self) -> int:
        """Descriptor that is readable when a forked process has logged something."""
        return self._relayed.fileno()

    def relay(self) -> None:
        """Send what forked processes have logged; has no effect in one of them."""
        while os.getpid() == self._pid:
            try:
                packet = self._relayed.recv(_MAX_PACKET, socket.MSG_DONTWAIT)
            except OSError:  # nothing is left, or a script has closed it
                return
            level, text = json.loads(packet)
            self._to_controller(level, text)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            level, text = record.levelname[:_MAX_LEVEL], cut(self.format(record), _MAX_TEXT)
            if os.getpid() == self._pid:
                self._to_controller(level, text)
            else:
                self._send_to_parent(level, text)
        except QueueClosed:
            return  # the controller is gone, and so is this process in a moment
        except Exception:  # noqa: BLE001 - what a script logs must not break the script (logging.Handler)
            self.handleError(record)

    def _send_to_parent(self, level: str, text: str) -> None:
        # As JSON, a character has at most twelve bytes.
        self._children.send(json.dumps([level, text[: _MAX_PACKET // 12 - 100]]).encode())
