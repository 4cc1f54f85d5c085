"""A server reports to whoever stops it how long that may take, in a line on its standard output."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from math import ceil
from typing import Final

_WORDS: Final = "Stopping, which may take {} s"
_LINE: Final = re.compile(re.escape(_WORDS).replace(r"\{\}", r"(\d+)"))


def send(seconds: float) -> None:
    """Report that the stop has begun, and that it may last so long."""
    with suppress(OSError, ValueError):  # nobody reads it, or it is closed
        sys.stdout.write(_WORDS.format(ceil(seconds)) + "\n")
        sys.stdout.flush()


def read(line: str) -> float | None:
    """Return the seconds that a line reports; None if it is no such line."""
    found = _LINE.fullmatch(line.strip())
    return None if found is None else float(found[1])
