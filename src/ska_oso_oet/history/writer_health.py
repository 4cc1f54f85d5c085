"""WriterHealth describes for an operator why changes of the history wait to be written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sized

HANG_SECS: Final = 6.0
"""After which a database that neither carries out what it is asked nor fails is reported as not replying."""


class WriterHealth:
    """What is wrong with the writing; set by the thread that writes, read by any."""

    def __init__(self, database_name: str, backlog: Sized) -> None:
        self._name = database_name
        self._backlog = backlog
        self._busy_since: float | None = None
        self._problem: str | None = None

    def begin(self) -> None:
        """Note that the database is asked for something."""
        self._busy_since = time.monotonic()

    def end(self) -> None:
        """Note that it has done it, or has failed."""
        self._busy_since = None

    def note(self, problem: str | None) -> None:
        """Note why nothing can be written, None when all is."""
        self._problem = None if problem is None else self._waiting(problem)

    def problem(self) -> str | None:
        """Return why nothing can be written, None when it can."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > HANG_SECS:
            return self._waiting(f"the history {self._name} does not answer")
        return self._problem

    def late(self) -> str:
        """Return that changes were published before they were stored."""
        return self._waiting(f"the history {self._name} is late: changes were published before it has them")

    def _waiting(self, problem: str) -> str:
        return f"{problem}; changes that wait in memory until it can be: {len(self._backlog)}"
