"""The standard streams of a process are set up here for whoever follows its output."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class PromptWriter(io.BufferedWriter):
    """Hands on what is written at once, and all of it.

    A raw file would be enough but for signals: a write that one cuts short is completed here.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write at once; what the exception of a signal handler keeps back goes out with the next."""
        count = super().write(data)
        self.flush()
        return count


def open_prompt(descriptor: int, errors: str) -> io.TextIOWrapper:
    """Make a text stream of a descriptor, which it does not own; UTF-8, as the engine reads it."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(PromptWriter(raw), encoding="utf-8", errors=errors, write_through=True)


def make_output_prompt() -> None:
    """Have what this process prints written when it is printed, whatever PYTHONUNBUFFERED is.

    So nothing is lost either when it is killed or calls os._exit.
    """
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        old.flush()
        new = open_prompt(descriptor, old.errors)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
