"""EventInterface is the part of the controller's Tango interface that pushes and replays events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from tango.server import attribute, command

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ControllerInterface, json_attribute
from ska_oso_oet.event.journal import EventsQuery

if TYPE_CHECKING:
    from ska_oso_oet.event.journal import Event


SILENCE_SECS: Final = 1.0


class EventInterface(ControllerInterface):
    """Commands and attributes of events."""

    event = json_attribute("read_event", "The newest event of the bus, as JSON")
    lastEventSeq = attribute(dtype="DevLong64", fget="read_last_event_seq", doc="Number of the newest event")

    _newest_event = "{}"
    _newest_seq = 0
    _silence_watched = False

    def on_event(self, event: Event) -> None:
        """Push an event, on the pump's thread (a listener of the bus)."""
        self._newest_event = event.json
        self._newest_seq = event.seq
        self.pump.push("event", event.json)
        self.pump.coalesce("lastEventSeq", self.read_last_event_seq)
        if not self._silence_watched:
            self._silence_watched = True
            self._watch_silence()

    def _watch_silence(self) -> None:
        self.pump.call_later(SILENCE_SECS, partial(self._on_silence, self._newest_seq))

    def _on_silence(self, newest_then: int) -> None:
        """Push the newest event once more if nothing has followed it: its loss would show in no later one."""
        if self._newest_seq != newest_then:
            self._watch_silence()
        else:
            self._silence_watched = False
            self.pump.push("event", self._newest_event)

    def read_event(self) -> str:
        """Return the newest event, {} before the first."""
        return self._newest_event

    def read_last_event_seq(self) -> int:
        """Return the number of the newest event, 0 before the first."""
        return self.running_engine.journal.last_seq

    @command(dtype_in=str, doc_in="JSON: since, epoch, limit, topics", dtype_out=str, doc_out="JSON")
    def GetEvents(self, argin: str) -> str:
        """Replay events."""
        with as_dev_failed("GetEvents"):
            return self.settled_engine.journal.read(self.parsed(EventsQuery.parse, argin))
