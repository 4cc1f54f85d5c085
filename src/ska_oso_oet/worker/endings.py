"""The end of a script is put into words here, in the worker."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.errors import OetError
from ska_oso_oet.procedure.bounds import MAX_STACKTRACE, cut, cut_front, printable
from ska_oso_oet.procedure.reports import Left, Raised
from ska_oso_oet.source import loader

if TYPE_CHECKING:
    from types import TracebackType

_MAX_MESSAGE: Final = 500
_OURS: Final = (
    *(str(Path(__file__).with_name(name)) for name in ("script_worker.py", "functions.py")),
    str(Path(loader.__file__)),
)
_AROUND: Final = ("<frozen importlib", str(Path(asyncio.__file__).parent))
"""What else stands between the engine and a script that it imports, or whose coroutine it runs."""


def of_exception(error: BaseException, *, interrupted: bool) -> Raised:
    """Describe what a script raised, by its own frames: those of the engine do not help a user."""
    if isinstance(error, OetError) and not _in_script(error.__traceback__):
        return Raised(message=printable(str(error)), interrupted=interrupted)
    lines = traceback.format_exception(type(error), error, _users_part(error.__traceback__))
    stacktrace = printable(cut_front("".join(lines), MAX_STACKTRACE))
    return Raised(
        message=printable(cut(_one_line(error), _MAX_MESSAGE)), stacktrace=stacktrace, interrupted=interrupted
    )


def of_system_exit(error: SystemExit, *, interrupted: bool) -> Left:
    """Describe a call of sys.exit, with the exit code that Python would end with."""
    if error.code is None or isinstance(error.code, int):
        code = error.code or 0
        return Left(code=code, message=f"sys.exit({code})", interrupted=interrupted)
    message = printable(cut(f"sys.exit: {error.code}", _MAX_MESSAGE))
    return Left(code=1, message=message, interrupted=interrupted)


def _in_script(frames: TracebackType | None) -> bool:
    """Return whether the script's own code was running, and not the engine's on its behalf."""
    while frames is not None and frames.tb_frame.f_globals.get("__name__") != loader.MODULE_NAME:
        frames = frames.tb_next
    return frames is not None


def _users_part(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and _is_engine(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_engine(filename: str) -> bool:
    return filename in _OURS or filename.startswith(_AROUND)


def _one_line(error: BaseException) -> str:
    first: Any = error.args[0] if error.args else None
    if hasattr(first, "reason") and hasattr(first, "desc"):
        # A Tango DevFailed, whose own text begins with an empty frame.
        return f"{type(error).__name__}: {first.reason}: {first.desc}"
    text = traceback.format_exception_only(error)[-1].strip()
    return text.splitlines()[0] if text else type(error).__name__
