"""Events are written as lines of text, if they are about what is being followed."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ska_oso_oet.client.events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.event.journal import covers

if TYPE_CHECKING:
    from collections.abc import Collection

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.procedure.output import Line
_SHOWN_BY_STATES = ("request", "procedure.lifecycle", "activity.lifecycle")


def about_topic(topic: str, known: Collection[str]) -> str:
    """Explain that a topic is none of the OET's but only of scripts, with what may have been meant."""
    if topic in known:
        return ""
    close = difflib.get_close_matches(topic, known, n=1, cutoff=0.8)
    meant = f"; is {close[0]} meant?" if close else ""
    return f"the OET has no topic {topic!r}: only what scripts publish on one of their own is heard{meant}"


@dataclass
class Subject:
    """What is followed: a procedure, or an activity with its procedure once that is known."""

    procedure_id: int | None
    activity_id: int | None = None
    command_id: str | None = None

    @classmethod
    def of_activity(cls, activity: ActivitySummary) -> Subject:
        """Follow an activity."""
        return cls(activity.procedure_id, activity.id, activity.command_id)

    def note(self, event: Event) -> None:
        """Learn which procedure belongs to the activity: it is created on behalf of the same command."""
        unknown = self.procedure_id is None and self.command_id is not None
        if (
            unknown
            and event.topic == "procedure.lifecycle.statechange"
            and event.request_id == self.command_id
        ):
            self.procedure_id = event.procedure_id

    def is_moved_by(self, event: Event) -> bool:
        """Return whether what is followed may have another state by now."""
        if self.activity_id is not None:
            return covers("activity.lifecycle", event.topic) and self.concerned_by(event)
        return covers("procedure.lifecycle", event.topic) and self.concerned_by(event)

    def concerned_by(self, event: Event) -> bool:
        """Return whether an event speaks of what is followed, or comes from it, whatever it calls itself."""
        if covers("activity", event.topic):
            result = _object(_object(event.data).get("result"))
            return self.activity_id is not None and result.get("id") == self.activity_id
        return event.procedure_id is not None and event.procedure_id == self.procedure_id


def event_lines(event: Event) -> list[str]:
    """Write an event in a line, or in none: requests and lifecycle show in the changes of state."""
    data = _object(event.data)
    match event.topic:
        case "procedure.lifecycle.statechange":
            text = f"state {data.get('new_state')}"
        case "activity.lifecycle.statechange":
            text = f"activity {data.get('new_state')}"
        case "procedure.progress":
            text = f"progress {data.get('progress')} % {data.get('message', '')}".rstrip()
        case topic if any(covers(branch, topic) for branch in _SHOWN_BY_STATES):
            return []
        case _:
            text = f"{event.topic} {event.msg_src}: {json.dumps(event.data)}"
    return [f"{clock(event.time)} {text}"]


def output_line(line: Line) -> str:
    """Write a line of a procedure's output: when, where from (or the level of a log record) and what."""
    return f"{clock(line.time)} {line.level or line.stream:<7} | {line.text}"


def clock(seconds: float) -> str:
    """Write a time of day in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def notice(item: Gap | NewEpoch | Disconnected | Reconnected) -> str:
    """Describe what happened to the stream itself."""
    match item:
        case Gap(first_seq=first, last_seq=last):
            return f"events {first} to {last} are lost: the controller no longer keeps them"
        case NewEpoch(previous="", last_seq=last):
            return f"the controller has no event {last} yet, or was restarted since: all that it has follow"
        case NewEpoch(last_seq=last):
            return (
                "the controller has been restarted; "
                f"events of its earlier run after {last}, if there were any, are lost"
            )
        case Disconnected(message=message):
            return f"{message}; waiting for it"
        case Reconnected():
            return "the controller answers again"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
