"""OutputBuffer keeps the newest lines of a procedure's stdout and stderr, and OutputRecorder announces them.

A line that has no end yet, such as a progress bar, is announced as far as it has come.
"""

from __future__ import annotations

import codecs
import json
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import Field, StrictInt

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.secrecy import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.procedure.secrecy import Secrets

MAX_LINES: Final = 2000
MAX_CHARACTERS: Final = 1024 * 1024
MAX_LINE: Final = 16 * 1024
"""Characters of one line; a longer one goes on in the next."""


class OutputQuery(Model):
    """The argument of GetOutput: lines after number `since`; without an id, of the newest procedure."""

    procedure_id: Annotated[StrictInt, Field(ge=1, lt=2**63)] | None = None
    since: Annotated[StrictInt, Field(ge=0, lt=2**63)] = 0


class Line(NamedTuple):
    """One line: its number from 1 on, when it came (seconds since 1970), where from, and its text.

    `stream` is stdout, stderr or log; a line of the log has a `level` (DEBUG, INFO, …).
    """

    number: int
    time: float
    stream: str
    text: str
    level: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        content = {"line": self.number, "time": self.time, "stream": self.stream, "text": self.text}
        return content if self.level is None else {**content, "level": self.level}


class _Stream:
    """Cuts what comes through one pipe into lines, but no secret: each line is masked by itself."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""
        self._begun = False

    @property
    def unfinished(self) -> bool:
        """True when there is a line without an end that is not announced as far as it has come."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[str]:
        """Add what was written; returns the lines that have an end now."""
        *whole, rest = (self._partial + self._decoder.decode(data)).split("\n")
        if whole:
            if self._begun and not _as_shown(whole[0]):
                del whole[0]  # its end is all that was missing
            self._begun = False
        while len(rest) > MAX_LINE:
            end = MAX_LINE - self._secrets.begun(rest[:MAX_LINE])
            whole.append(rest[:end])
            rest = rest[end:]
        self._partial = rest
        return whole

    def cut_off(self) -> list[str]:
        """Return what there is of a line without an end; what follows will be a line of its own.

        What may be the beginning of a secret is kept back until more of it comes.
        """
        return self._cut_off(len(self._partial) - self._secrets.begun(self._partial))

    def _cut_off(self, end: int) -> list[str]:
        text, self._partial = self._partial[:end], self._partial[end:]
        if not _as_shown(text):
            return []
        self._begun = True
        return [text]

    def finish(self) -> list[str]:
        """Return what was written without an end of line, once nothing more can come."""
        self._partial += self._decoder.decode(b"", final=True)
        return self._cut_off(len(self._partial))


def _as_shown(text: str) -> str:
    """Return a line as a terminal shows it: after a carriage return it is written anew."""
    return text.rstrip("\r").rpartition("\r")[2]


class OutputBuffer:
    """Keeps the newest lines, at most MAX_LINES and MAX_CHARACTERS of them. Not thread-safe."""

    def __init__(self, secrets: Secrets = NONE) -> None:
        self._mask = secrets.masked
        self._lines: deque[Line] = deque()
        self._size = 0
        self._count = 0
        self._streams = {"stdout": _Stream(secrets), "stderr": _Stream(secrets)}

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return self._count

    @property
    def unfinished(self) -> bool:
        """True when a line without an end waits to be announced."""
        return any(stream.unfinished for stream in self._streams.values())

    def feed(self, stream: str, data: bytes, now: float) -> None:
        """Add what was written."""
        self._extend(stream, self._streams[stream].feed(data), now)

    def close_unfinished(self, now: float) -> None:
        """Make lines of what was written without an end of line, as far as it has come."""
        for name, stream in self._streams.items():
            self._extend(name, stream.cut_off(), now)

    def log(self, level: str, text: str, now: float) -> None:
        """Add a record of the script's log; one of several lines becomes as many."""
        self._extend("log", text.split("\n"), now, level)

    def finish(self, now: float) -> None:
        """Add what was written without an end of line, once nothing more can come."""
        for name, stream in self._streams.items():
            self._extend(name, stream.finish(), now)

    def _extend(self, stream: str, texts: Sequence[str], now: float, level: str | None = None) -> None:
        skipped = max(0, len(texts) - MAX_LINES)
        self._count += skipped
        for text in map(self._mask, map(_as_shown, islice(texts, skipped, None))):
            for start in range(0, max(1, len(text)), MAX_LINE):
                self._count += 1
                part = text[start : start + MAX_LINE]
                self._lines.append(Line(self._count, now, stream, part, level))
                self._size += len(part)
        while len(self._lines) > MAX_LINES or self._size > MAX_CHARACTERS:
            self._size -= len(self._lines.popleft().text)

    def after(self, number: int, limit: int = MAX_LINES) -> list[Line]:
        """List the newest lines, at most `limit`, of those that are kept and come after line `number`."""
        first = self._lines[0].number if self._lines else self._count + 1
        kept = list(islice(self._lines, max(0, number + 1 - first), None))
        return kept[-limit:]

    def to_json(self, procedure_id: int, since: int) -> str:
        """Make the JSON: `{"procedure_id", "last_line", "dropped", "lines": [{"line", "time", …}]}`.

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


class OutputRecorder:
    """Keeps what every procedure writes, and announces it in batches; any thread may use it.

    `announce(procedure_id, lines, skipped)` is called on the thread that calls `call_later`'s functions, at
    most once in BATCH_SECS for each procedure; `skipped` lines of a long batch are left to GetOutput. A line
    without an end is announced after UNFINISHED_SECS as far as it has come.
    """

    BATCH_SECS = 0.1
    UNFINISHED_SECS = 0.8
    BATCH_LINES = 200

    def __init__(
        self,
        clock: Callable[[], float],
        call_later: Callable[..., None],
        announce: Callable[[int, list[Line], int], None],
        secrets: Secrets = NONE,
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._call_later = call_later
        self._announce = announce
        self._lock = threading.Lock()
        self._buffers: dict[int, OutputBuffer] = {}
        self._announced: dict[int, int] = {}
        self._due: set[int] = set()
        self._unfinished: set[int] = set()

    def open(self, procedure_id: int) -> None:
        """Begin to keep the output of a procedure."""
        with self._lock:
            self._buffers[procedure_id] = OutputBuffer(self._secrets)
            self._announced[procedure_id] = 0

    def write(self, procedure_id: int, stream: str, data: bytes) -> None:
        """Add what a procedure wrote."""
        with self._lock:
            buffer = self._buffers[procedure_id]
            buffer.feed(stream, data, self._clock())
            news = buffer.count > self._announced[procedure_id]
            unfinished = buffer.unfinished
        if news:
            self._once(self._due, procedure_id, self.BATCH_SECS, self.flush)
        if unfinished:
            self._once(self._unfinished, procedure_id, self.UNFINISHED_SECS, self.flush_unfinished)

    def log(self, procedure_id: int, level: str, text: str) -> None:
        """Add a record of a procedure's log."""
        with self._lock:
            self._buffers[procedure_id].log(level, text, self._clock())
        self._once(self._due, procedure_id, self.BATCH_SECS, self.flush)

    def _once(self, due: set[int], procedure_id: int, delay: float, function: Callable[[int], None]) -> None:
        with self._lock:
            if procedure_id in due:
                return
            due.add(procedure_id)
        self._call_later(delay, function, procedure_id)

    def flush_unfinished(self, procedure_id: int) -> None:
        """Announce lines that have no end yet as far as they have come."""
        with self._lock:
            self._unfinished.discard(procedure_id)
            if (buffer := self._buffers.get(procedure_id)) is not None:
                buffer.close_unfinished(self._clock())
        self.flush(procedure_id)

    def flush(self, procedure_id: int) -> None:
        """Announce the lines that were not announced yet."""
        with self._lock:
            self._due.discard(procedure_id)
            buffer = self._buffers.get(procedure_id)
            if buffer is None or buffer.count == self._announced[procedure_id]:
                return
            lines = buffer.after(self._announced[procedure_id], self.BATCH_LINES)
            skipped = buffer.count - self._announced[procedure_id] - len(lines)
            self._announced[procedure_id] = buffer.count
        self._announce(procedure_id, lines, skipped)

    def close(self, procedure_id: int) -> None:
        """Announce the rest, once nothing more can come."""
        with self._lock:
            self._buffers[procedure_id].finish(self._clock())
        self.flush(procedure_id)

    def forget(self, procedure_id: int) -> None:
        """Keep the output of a procedure no longer."""
        with self._lock:
            self._buffers.pop(procedure_id, None)
            self._announced.pop(procedure_id, None)

    def to_json(self, procedure_id: int, since: int) -> str:
        """Return the result of GetOutput."""
        with self._lock:
            return self._buffers[procedure_id].to_json(procedure_id, since)
