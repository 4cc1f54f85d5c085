"""Expected errors of the project become the DevFailed that Tango clients see."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import tango

from ska_oso_oet.errors import OetError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_dev_failed(origin: str) -> Iterator[None]:
    """Turn an expected failure into a DevFailed: its code is the reason, its text the description.

    `origin` names the command. Text is escaped to ASCII, as Tango strings are latin-1.
    """
    try:
        yield
    except OetError as error:
        text = str(error).encode("ascii", "backslashreplace").decode("ascii")
        tango.Except.throw_exception(error.code, text, origin)
