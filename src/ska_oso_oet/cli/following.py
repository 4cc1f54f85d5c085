"""Following a procedure: its events as lines, until it is where it should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ska_oso_oet.cli.output import answer, diagnostic
from ska_oso_oet.client_events import Disconnected, Event, Gap, NewEpoch, Reconnected
from ska_oso_oet.client_inbox import QUIET_TIME, Patience
from ska_oso_oet.client_waiting import has_entered
from ska_oso_oet.event.journal import covers

if TYPE_CHECKING:
    from collections.abc import Collection

    from ska_oso_oet.cli.session import Session
    from ska_oso_oet.client_events import EventStream, StreamItem
    from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary


_OF_THE_SERVICE = ("request", "activity", "procedure.lifecycle", "procedure.pool", "procedure.output")


class Follower:
    """Waits for a procedure; prints its events meanwhile, unless the output is JSON.

    Made before the request whose effects it follows, so that the first event is not missed.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stream: EventStream | None = None if session.json else session.owns(session.client.events())

    def until(self, known: ProcedureSummary, states: Collection[ProcedureState] = ()) -> ProcedureSummary:
        """Wait until the procedure has entered one of `states` or has ended; until `--timeout`."""
        session = self._session
        if self._stream is None:
            return session.client.wait(known.id, states, session.deadline)
        patience = Patience()
        while not has_entered(known, states):
            session.deadline.check(f"procedure {known.id} is still {known.state}")
            item = self._stream.get(session.deadline.at_most(QUIET_TIME))
            show(item, known.id)
            if not isinstance(item, Event) or _is_lifecycle(item, known.id):
                known = patience.ask(partial(session.client.refresh, known)) or known
        for item in self._stream.drain():
            show(item, known.id)
        return known


def _is_lifecycle(event: Event, procedure_id: int) -> bool:
    return covers("procedure.lifecycle", event.topic) and concerns(event, procedure_id)


def concerns(event: Event, procedure_id: int) -> bool:
    """Tell whether an event speaks of a procedure, or comes from it."""
    data = event.data if isinstance(event.data, dict) else {}
    result = data.get("result")
    named = data.get("procedure_id", result.get("id") if isinstance(result, dict) else None)
    return str(event.msg_src if named is None else named) == str(procedure_id)


def may_concern(event: Event, procedure_id: int) -> bool:
    """Tell whether to show an event: also one of a script that names itself, as it may be this one."""
    if concerns(event, procedure_id):
        return True
    from_service = any(covers(branch, event.topic) for branch in _OF_THE_SERVICE)
    return not from_service and not str(event.msg_src).isdecimal()


def show(item: StreamItem | None, procedure_id: int) -> None:
    """Print an item of the stream, if it is about the procedure."""
    if not isinstance(item, Event):
        if item is not None:
            diagnostic(notice(item))
    elif may_concern(item, procedure_id):
        for line in _lines(item):
            answer(f"{datetime.fromtimestamp(item.time, UTC).strftime('%H:%M:%S.%f')[:-3]} {line}")


def _lines(event: Event) -> list[str]:
    """Write an event in a line, or in several; the lifecycle is told by its state changes alone."""
    data: dict[str, Any] = event.data if isinstance(event.data, dict) else {}
    match event.topic:
        case "procedure.lifecycle.statechange":
            return [f"state {data.get('new_state')}"]
        case "procedure.output":
            return [f"| {_output_line(line)}" for line in data.get("lines", ())]
        case "procedure.progress":
            return [f"progress {data.get('progress')} % {data.get('message', '')}"]
        case topic if topic.startswith("procedure.lifecycle."):
            return []
    return [f"{event.topic} {event.msg_src}: {json.dumps(event.data)}"]


def _output_line(line: Any) -> str:
    return str(line.get("text", line)) if isinstance(line, dict) else str(line)


def notice(item: Gap | NewEpoch | Disconnected | Reconnected) -> str:
    """Say what happened to the stream itself."""
    match item:
        case Gap(first_seq=first, last_seq=last):
            return f"events {first} to {last} are lost: the controller no longer keeps them"
        case NewEpoch():
            return "the controller has been restarted"
        case Disconnected(message=message):
            return f"{message}; waiting for it"
        case Reconnected():
            return "the controller answers again"
