"""The end of its terminal or session (SIGHUP) ends a device server, in the same order as SIGTERM does.

Tango catches SIGHUP itself and does nothing, whatever a device registers for; and the main thread of a server
never comes back from Tango's loop to run a handler of Python's.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

_BATCH: Final = 64


def follow_hang_up() -> None:
    """End this server when SIGHUP comes, unless nohup has started it; call it once Tango is initialised."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # It has nothing to be stopped for: it ends with the process.
    threading.Thread(target=_pass_on, args=(reader,), name="hang-up", daemon=True).start()


def _pass_on(reader: int) -> None:
    while signal.SIGHUP not in os.read(reader, _BATCH):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
