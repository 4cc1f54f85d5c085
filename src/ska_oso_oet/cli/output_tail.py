"""The lines that a procedure writes are read each once and in order, whatever the events leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ska_oso_oet.errors import ControllerUnreachable, NotFound
from ska_oso_oet.procedure.output import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Lost(NamedTuple):
    """Lines that nobody can read any more."""

    lines: int


class OutputTail:
    """Follows the output of one procedure.

    `read` is GetOutput: it returns what comes after a line. Without `since`, the first event's lines are
    the first ones. Batches of events may skip lines, and events may be lost; what is missing is read.
    """

    def __init__(self, read: Callable[[int], dict[str, Any]], since: int | None = None) -> None:
        self._read = read
        self._last = since

    def on_output(self, data: dict[str, Any]) -> Iterator[Line | Lost]:
        """Return the new lines of a procedure.output event, and what is missing before them."""
        lines = [_line(line) for line in data.get("lines", ())]
        if not lines:
            return
        if self._last is None:
            self._last = lines[0].number - 1 - int(data.get("skipped", 0))
        if lines[0].number > self._last + 1:
            try:
                yield from self.rest()
            except ControllerUnreachable:
                return  # the next event, or the end, finds them missing again
            except NotFound:
                yield Lost(lines[0].number - self._last - 1)
        yield from self._new(lines)

    def rest(self) -> Iterator[Line | Lost]:
        """Read what there is and was not yet seen; raises what `read` raises."""
        seen = self._last or 0
        output = self._read(seen)
        lines = [_line(line) for line in output["lines"]]
        if output["dropped"]:
            yield Lost(output["dropped"])
        self._last = seen
        yield from self._new(lines)
        self._last = max(self._last, output["last_line"])

    def _new(self, lines: list[Line]) -> Iterator[Line]:
        for line in lines:
            if self._last is None or line.number > self._last:
                self._last = line.number
                yield line


def _line(content: dict[str, Any]) -> Line:
    return Line(content["line"], content["time"], content["stream"], content["text"], content.get("level"))
