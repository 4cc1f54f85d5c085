"""What a procedure writes: the newest lines of its stdout and stderr."""

from __future__ import annotations

import codecs
import json
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import Field, StrictInt

from ska_oso_oet.models import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINES: Final = 2000
MAX_CHARACTERS: Final = 1024 * 1024
MAX_LINE: Final = 16 * 1024
"""Characters of one line; a longer one goes on in the next."""


class OutputQuery(Model):
    """The argument of GetOutput: lines after number `since`; without an id, of the newest procedure."""

    procedure_id: Annotated[StrictInt, Field(ge=1)] | None = None
    since: Annotated[StrictInt, Field(ge=0)] = 0


class Line(NamedTuple):
    """One line: its number from 1 on, when it came (seconds since 1970), where from, and its text."""

    number: int
    time: float
    stream: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"line": self.number, "time": self.time, "stream": self.stream, "text": self.text}


class OutputBuffer:
    """Keeps the newest lines, at most MAX_LINES and MAX_CHARACTERS of them. Not thread-safe."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._size = 0
        self._count = 0
        self._partial = {"stdout": "", "stderr": ""}
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")(errors="replace") for name in self._partial
        }

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return self._count

    def feed(self, stream: str, data: bytes, now: float) -> None:
        """Take what was written."""
        text = self._partial[stream] + self._decoders[stream].decode(data)
        *whole, rest = text.split("\n")
        self._extend(stream, whole, now)
        while len(rest) > MAX_LINE:
            self._extend(stream, [rest[:MAX_LINE]], now)
            rest = rest[MAX_LINE:]
        self._partial[stream] = rest

    def finish(self, now: float) -> None:
        """Take what was written without an end of line, once nothing more can come."""
        for stream, rest in self._partial.items():
            if rest:
                self._extend(stream, [rest], now)
                self._partial[stream] = ""

    def _extend(self, stream: str, texts: Sequence[str], now: float) -> None:
        skipped = max(0, len(texts) - MAX_LINES)
        self._count += skipped
        for text in islice(texts, skipped, None):
            for start in range(0, max(1, len(text)), MAX_LINE):
                self._count += 1
                self._lines.append(
                    Line(self._count, now, stream, text[start : start + MAX_LINE].rstrip("\r"))
                )
                self._size += min(MAX_LINE, len(text) - start)
        while len(self._lines) > MAX_LINES or self._size > MAX_CHARACTERS:
            self._size -= len(self._lines.popleft().text)

    def after(self, number: int, limit: int = MAX_LINES) -> list[Line]:
        """List the newest lines, at most `limit`, of those that are kept and come after line `number`."""
        first = self._lines[0].number if self._lines else self._count + 1
        kept = list(islice(self._lines, max(0, number + 1 - first), None))
        return kept[-limit:]

    def to_json(self, procedure_id: int, since: int) -> str:
        """Answer GetOutput: `{"procedure_id", "last_line", "dropped", "lines": [{"line", "time", …}]}`.

        `dropped` counts the lines after `since` that are no longer kept.
        """
        lines = self.after(since)
        first = lines[0].number if lines else self._count + 1
        return json.dumps(
            {
                "procedure_id": procedure_id,
                "last_line": self._count,
                "dropped": max(0, first - since - 1),
                "lines": [line.to_dict() for line in lines],
            }
        )
