"""Answers in time, from a controller that may be halted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.client.bounded import Bounded, within
from ska_oso_oet.client.inbox import Deadline
from ska_oso_oet.errors import ControllerUnreachable, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 60.0


class Halted:
    """A connection that answers nothing before it is released."""

    device = "a/b/c"
    uri = "tango://here:1/a/b/c"

    def __init__(self) -> None:
        self.released = threading.Event()
        self.answered = threading.Semaphore(0)

    def _answer(self) -> str:
        assert self.released.wait(DEADLINE)
        self.answered.release()
        return "answer"

    def command(self, name: str, argument: object = None) -> Any:
        return self._answer()

    def read(self, attribute: str) -> Any:
        return self._answer()

    def subscribe(self, attribute: str, deliver: Callable[[Any], None]) -> Callable[[], None]:
        self._answer()
        return lambda: None

    def close(self) -> None:
        """Have nothing to close."""


@pytest.fixture
def halted() -> Iterator[Halted]:
    link = Halted()
    yield link
    link.released.set()
    for thread in threading.enumerate():
        if thread.name == "oet-bounded":
            thread.join(DEADLINE)


def test_every_question_to_a_halted_controller_ends(halted: Halted) -> None:
    questions: tuple[Callable[[Bounded], object], ...] = (
        lambda link: link.command("Ping"),
        lambda link: link.read("procedures"),
        lambda link: link.subscribe("event", print),
    )
    for ask in questions:
        with pytest.raises(ControllerUnreachable, match=r"here:1/a/b/c: no answer within 0\.02 s"):
            ask(Bounded(halted, Deadline(0.02)))
    assert not halted.answered.acquire(blocking=False)


def test_an_answer_in_time_is_given(halted: Halted) -> None:
    halted.released.set()
    for deadline in (Deadline(DEADLINE), Deadline(None), Deadline(0)):
        link = Bounded(halted, deadline)
        assert (link.read("procedures"), link.command("Ping"), link.device) == ("answer", "answer", "a/b/c")


def test_what_goes_wrong_in_time_is_raised() -> None:
    def refuse() -> None:
        raise Rejected("no")

    with pytest.raises(Rejected, match="no"):
        within(DEADLINE, refuse)
