"""The log of the controller has one line at INFO for each thing that happens."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.event.journal import Event
    from ska_oso_oet.procedure.changes import ProcedureChange
    from ska_oso_oet.procedure.domain import ProcedureSummary

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST: Final = 2000
_log = logging.getLogger(__name__)


def one_line(text: object) -> str:
    """Show a text that others wrote so that it cannot pass for more than a part of one line."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))[:_LONGEST]


def log_start(device_name: str, versions: Mapping[str, str], settings: Sequence[Mapping[str, Any]]) -> None:
    """Log the start of the controller: its version, and the settings in effect."""
    of = ", ".join(f"{name} {version}" for name, version in versions.items())
    given = ", ".join(f"{line['name']}={line['value']} ({line['source']})" for line in settings)
    _log.info("%s starts: %s; %s", device_name, of, one_line(given))


def log_request(name: str, requester: str | None, code: str, result: str) -> None:
    """Log a request: by whom, and the id of the command, or why it was refused."""
    _log.info("request %s by %s: %s %s", name, one_line(requester or "unknown"), code, one_line(result))


def log_health(health: str, messages: Sequence[str]) -> None:
    """Log a change of the health, or of its reasons."""
    _log.info("health is %s%s", health, f": {one_line('; '.join(messages))}" if messages else "")


def log_readiness(why_not: str) -> None:
    """Log that scripts can be started, or why they cannot."""
    _log.info("scripts cannot be started: %s" if why_not else "scripts can be started%s", one_line(why_not))


class WorkLog:
    """Logs what becomes of procedures and activities: each state once, though many events may speak of it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], str] = {}

    def on_procedure(self, change: ProcedureChange, _: Event) -> None:
        """Log the state of a procedure, and what became of its abort (a listener of the bus)."""
        summary = change.summary
        if self._is_new("procedure", summary.id, summary.state.value, final=summary.state.final):
            _log.info("procedure %d is %s%s", summary.id, summary.state, _about(summary))
        for outcome in change.outcomes:
            abort = outcome.content.get("abort")
            if abort is not None:
                why = one_line(abort.get("message") or f"the abort script is {abort.get('state')}")
                _log.info("procedure %s was stopped; abort: %s", outcome.content.get("procedure_id"), why)

    def on_activity(self, summary: ActivitySummary, _: Event) -> None:
        """Log the state of an activity (a listener of the bus)."""
        state = summary.state.value
        if self._is_new("activity", summary.id, state, final=summary.state.final):
            _log.info("activity %d is %s%s", summary.id, state, _about_activity(summary))

    def _is_new(self, kind: str, number: int, state: str, *, final: bool) -> bool:
        if self._known.get((kind, number)) == state:
            return False
        if final:
            self._known.pop((kind, number), None)
        else:
            self._known[kind, number] = state
        return True


def _about(summary: ProcedureSummary) -> str:
    """Return what a procedure is when it begins, and how it went when it ends."""
    if len(summary.history.process_states) == 1:
        script: Any = summary.script
        name = getattr(script, "script_uri", None) or script.script_name
        of = "" if summary.subarray_id is None else f", subarray {summary.subarray_id}"
        return f": {one_line(name)}{of}, command {summary.command_id}"
    if summary.exit is None:
        return ""
    rung = f" by {summary.exit.stopped_by}" if summary.exit.stopped_by else ""
    message = f": {one_line(summary.exit.message)}" if summary.exit.message else ""
    return f"{rung}{message}"


def _about_activity(summary: ActivitySummary) -> str:
    if len(summary.activity_states) == 1:
        name, sbd_id = one_line(summary.activity_name), one_line(summary.sbd_id)
        return f": {name} of {sbd_id}, command {summary.command_id}"
    return f": {one_line(summary.message)}" if summary.message else ""
