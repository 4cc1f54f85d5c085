"""The device servers are started here."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

from ska_oso_oet.hang_up import follow_hang_up
from ska_oso_oet.orb_threads import keep_idle_threads, make_own_threads
from ska_oso_oet.resources import raise_descriptor_limit
from ska_oso_oet.tango_environment import prepare_tango

SWITCH_SECS: Final = 0.001
"""After which a thread that computes lets another one go on; Python's own 5 ms are longer than a command."""
_EXTRA_REST: Final = frozenset({"fastapi", "fastapi_offline", "sse_starlette", "starlette", "uvicorn"})
LOOPBACK: Final = ["-ORBendPoint", "giop:tcp:127.0.0.1:0"]


def controller(argv: list[str] | None = None) -> None:
    """Run the device server OETController; arguments are those of any Tango device server.

    It binds the loopback interface unless an ORB endpoint is set (`-ORBendPoint` or ORBendPoint in the
    environment).
    """
    args = _prepared(argv)
    # Imported late: Tango reads the environment when it is loaded.
    from tango.server import run  # noqa: PLC0415

    from ska_oso_oet.device.controller import OETController  # noqa: PLC0415

    _settle()
    run([OETController], args=["OETController", *args], post_init_callback=_serve)


def rest_adapter(argv: list[str] | None = None) -> None:
    """Run the device server OETRestAdapter; arguments and endpoint as for the controller."""
    args = _prepared(argv)
    from tango.server import run  # noqa: PLC0415

    try:
        from ska_oso_oet.device.rest_adapter import OETRestAdapter  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] not in _EXTRA_REST:
            raise
        sys.exit(
            f"OETRestAdapter needs {error.name}: install the extra rest (pip install 'ska-oso-oet[rest]')"
        )

    _settle()
    run([OETRestAdapter], args=["OETRestAdapter", *args], post_init_callback=_watch)


def _serve() -> None:
    make_own_threads()
    _watch()


def _watch() -> None:
    from ska_oso_oet.ska.base_device import own_reference  # noqa: PLC0415
    from ska_oso_oet.ska.half_open import close_half_open  # noqa: PLC0415

    follow_hang_up()
    close_half_open(own_reference())


def _prepared(argv: list[str] | None) -> list[str]:
    """Set what Tango reads from the environment, and complete the arguments."""
    args = list(sys.argv if argv is None else argv)[1:]
    prepare_tango(os.environ)
    keep_idle_threads(os.environ)
    raise_descriptor_limit()
    if args and "ORBendPoint" not in os.environ and "-ORBendPoint" not in args:
        args += LOOPBACK
    return args


def _settle() -> None:
    """Have no thread wait long for another, and no garbage collection look at all that was loaded.

    It would stop every thread for some 50 ms, in the middle of a command.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECS)


if __name__ == "__main__":
    controller()
