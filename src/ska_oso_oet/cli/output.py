"""The two ways out: answers on stdout, diagnostics on stderr. Nothing else in `oet` writes."""

from __future__ import annotations

import re
import sys
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: object) -> str:
    """Show control characters instead of obeying them: scripts write what they like, terminals obey."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], str(text))


def answer(text: str = "") -> None:
    """Write lines on stdout at once."""
    sys.stdout.write(f"{visible(text)}\n")
    sys.stdout.flush()


def diagnostic(text: str) -> None:
    """Write a line on stderr at once."""
    sys.stderr.write(f"oet: {visible(text)}\n")
    sys.stderr.flush()
