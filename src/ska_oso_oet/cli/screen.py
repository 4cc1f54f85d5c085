"""While something is followed, lines are printed, and on a terminal a progress bar below them."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ska_oso_oet.cli.output import diagnostic, print_line, visible


class Screen:
    """Writes lines at once; keeps the progress bar, once there is one, at the bottom."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def line(self, text: str) -> None:
        """Write a result. While there is a bar, rich puts what goes to stdout above it."""
        print_line(text)

    def notice(self, text: str) -> None:
        """Write a diagnostic; the bar comes again with the next progress."""
        self.close()
        diagnostic(text)

    def progress(self, percent: float, message: str) -> bool:
        """Show progress as a bar; False where there is no terminal to show it on."""
        if not sys.stdout.isatty():
            return False
        if self._bar is None:
            self._bar = self._begin()
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=percent, description=visible(message), refresh=True)
        return True

    def close(self) -> None:
        """Remove the bar, and leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @staticmethod
    def _begin() -> Progress:
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
        # Drawn when something is written, so that no thread is needed to draw it again and again.
        bar = Progress(*columns, console=Console(), auto_refresh=False, transient=True, redirect_stderr=False)
        bar.add_task("", total=100)
        bar.start()
        return bar
