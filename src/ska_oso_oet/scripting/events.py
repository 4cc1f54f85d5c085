"""Announcer publishes what a script announces on the event bus of the OET."""

from __future__ import annotations

from pubsub import pub


class Announcer:
    """Publishes events in the name of a script."""

    def __init__(self, source: str) -> None:
        """Name the script; it is the `msg_src` of the events."""
        self.source = source

    def send(self, topic: str, **data: object) -> None:
        """Publish an event; `data` are JSON values, those of the topic (ska_oso_oet.event.topics)."""
        pub.sendMessage(topic, msg_src=self.source, **data)

    def say(self, message: str) -> None:
        """Show users a message, on topic user.script.announce."""
        self.send("user.script.announce", msg=message)

    def progress(self, percent: float, message: str = "", **about: object) -> None:
        """Report how far the script has come, 0 to 100, on topic procedure.progress.

        `about` are `devices`, `failed_devices` (lists of names) and `health_state` (OK, DEGRADED or FAILED):
        they become part of the procedure's progress and of the result of its command.
        """
        self.send("procedure.progress", progress=max(0, min(100, int(percent))), message=message, **about)
