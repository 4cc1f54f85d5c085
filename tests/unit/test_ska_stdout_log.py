"""The log on stdout is complete and in order, and nobody waits for who reads it."""

from __future__ import annotations

import io
import logging
import threading

from ska_oso_oet.ska.stdout_log import MAX_WAITING, StdoutHandler

DEADLINE = 10.0


class Halted(io.StringIO):
    """A stream that takes nothing until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.go_on.wait(DEADLINE)
        return super().write(text)


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text})


def test_what_was_taken_is_written_in_order_before_the_end() -> None:
    stream = io.StringIO()
    handler = StdoutHandler(stream)
    for number in range(1000):
        handler.handle(record(f"line {number}"))
    handler.flush()
    handler.close()
    assert stream.getvalue().splitlines() == [f"line {number}" for number in range(1000)]


def test_a_reader_that_halts_holds_nobody_up_and_what_is_lost_is_counted() -> None:
    stream = Halted()
    handler = StdoutHandler(stream)
    handler.handle(record("first"))
    assert stream.reached.wait(DEADLINE)
    for number in range(MAX_WAITING + 7):
        handler.handle(record(str(number)))
    stream.go_on.set()
    handler.flush()
    handler.close()
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["first", "0"]
    assert lines[-2:] == [str(MAX_WAITING - 1), "7 lines of the log are lost here: nobody read them in time"]


def test_one_that_was_never_used_has_no_thread() -> None:
    handler = StdoutHandler(io.StringIO())
    handler.flush()
    handler.close()
    assert "log" not in {thread.name for thread in threading.enumerate()}
