"""This example publishes a message for users, and an event on a topic of its own."""

from __future__ import annotations

from ska_oso_oet.scripting.events import Announcer


def main(message: str = "Hello", times: int = 1) -> None:
    """Announce `message` so many times; `oet listen` shows it."""
    announcer = Announcer("announce")
    for number in range(1, times + 1):
        announcer.say(f"{message} ({number} of {times})")
    announcer.send("example.finished", times=times)
