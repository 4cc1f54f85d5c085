r"""Results are written on stdout and diagnostics on stderr by these functions. Nothing else in `oet` writes.

Much of what is printed was written by others: scripts, other users, servers. It is made harmless here, and
only here: no terminal obeys it, and one line of it stays one line, so that nothing in it looks like a line of
`oet`. A control character is shown as `\x1b`, the end of a line within a line as `\n`.

An exit code means the same where nobody can read the output any more: diagnostics are dropped, and a command
whose exit code shows what became of a request goes on without its output.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ska_oso_oet.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_outcome_counts = False


class OutputLost(Exception):
    """The results of a command cannot be written any more, and they were all that it was for."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.code = ExitCode.NO_READER if isinstance(error, BrokenPipeError) else ExitCode.FAULT


def visible(text: object) -> str:
    """Show what others wrote in one line."""
    return visible_lines(text).replace("\n", r"\n")


def visible_lines(text: object) -> str:
    """Show what others wrote in lines of their own, where nothing of ours stands below it."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], str(text))


def print_line(line: str = "") -> None:
    """Write a line on stdout at once."""
    write(f"{visible(line)}\n")


def paragraph(line: str) -> None:
    """Write a line and an empty one on stdout at once."""
    write(f"{visible(line)}\n\n")


def paragraph_of_lines(text: str) -> None:
    """Write lines and an empty one on stdout at once."""
    write(f"{visible_lines(text)}\n\n")


def write(presentable: str) -> None:
    """Write on stdout at once what is presentable already."""
    try:
        sys.stdout.write(presentable)
        sys.stdout.flush()
    except OSError as error:
        _lose_stdout(error)


def diagnostic(text: str) -> None:
    """Write on stderr at once; each line begins with `oet:`."""
    with _losing_stderr():
        for line in text.split("\n"):
            sys.stderr.write(f"oet: {visible(line)}\n")
        sys.stderr.flush()


def let_outcome_count(*, outcome_counts: bool) -> None:
    """Note whether the exit code of what follows means more than that its results could be written."""
    global _outcome_counts  # noqa: PLW0603 - a process has one stdout
    _outcome_counts = outcome_counts


def flush() -> None:
    """Write what is still to be written."""
    with _losing_stderr():
        sys.stderr.flush()
    write("")


def open_what_is_closed() -> None:
    """Put the null device where stdin, stdout or stderr are closed.

    Else the next file that is opened, such as a connection, becomes one of them.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            discard(descriptor)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def discard(descriptor: int) -> None:
    """Let what is written to a file descriptor vanish from now on."""
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)


def _lose_stdout(error: OSError) -> None:
    # Python would complain once more when it flushes at its end.
    discard(1)
    if not isinstance(error, BrokenPipeError):
        diagnostic(f"the output could not be written: {error.strerror}")
    if not _outcome_counts:
        raise OutputLost(error) from None


@contextmanager
def _losing_stderr() -> Iterator[None]:
    """Go on where diagnostics cannot be written."""
    try:
        yield
    except OSError:
        discard(2)
