"""ProcedureAnnouncer publishes what happens to procedures on the event bus."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ska_oso_oet.procedure.changes import CommandOutcome, ProcedureChange, ScriptEvent
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.procedure.record import stopped_without_abort
from ska_oso_oet.source.script import presentable

if TYPE_CHECKING:
    from ska_oso_oet.event.bus import EventBus
    from ska_oso_oet.models import Model
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.procedure.output import Line
    from ska_oso_oet.procedure.record import Record, StartRequest

SOURCE: Final = "SESWorker"
"""`msg_src` of the events that the service makes, as in the reference documents."""

_S = ProcedureState
_TOPIC_OF_STATE: Final = {
    _S.INITIALISING: "procedure.lifecycle.started",
    _S.READY: "procedure.lifecycle.ready",
    _S.RUNNING: "procedure.lifecycle.started",
    _S.COMPLETE: "procedure.lifecycle.complete",
    _S.FAILED: "procedure.lifecycle.failed",
    _S.STOPPED: "procedure.lifecycle.stopped",
}


class ProcedureAnnouncer:
    """Publishes what happens to procedures; may be used with locks held, as the bus may."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def request(self, action: str, cmd: Model, command_id: str | None, procedure_id: int) -> None:
        """Announce that a command was accepted that acts on procedure `procedure_id`."""
        if isinstance(cmd, PrepareProcessCommand):
            cmd = cmd.model_copy(update={"script": presentable(cmd.script)})
        self._bus.publish(
            f"request.procedure.{action}",
            "OETController",
            {"cmd": cmd.to_dict()},
            request_id=command_id,
            procedure_id=procedure_id,
        )

    def state(self, record: Record) -> None:
        """Announce the state of a procedure, and the commands that end with it."""
        self._state(_change(record, record.outcomes()), record.request_id)

    def entered(self, record: Record, before: ProcedureState) -> None:
        """Announce that a procedure has left the state `before` for its present one."""
        change = _change(record, record.outcomes())
        self._state(change, record.request_id)
        loaded = (before, record.procedure.state) == (_S.LOADING, _S.IDLE)
        topic = "procedure.lifecycle.created" if loaded else _TOPIC_OF_STATE.get(record.procedure.state)
        if topic is not None:
            self._result(topic, change.summary, record.request_id)
        if record.procedure.stacktrace is not None:
            procedure_id, trace = record.procedure.id, {"stacktrace": record.procedure.stacktrace}
            self._bus.publish(
                "procedure.lifecycle.stacktrace", str(procedure_id), trace, procedure_id=procedure_id
            )

    def lost(self, summary: ProcedureSummary) -> None:
        """Announce what no other run can: that a procedure has FAILED with the controller that ran it."""
        self._state(ProcedureChange(summary), summary.command_id)
        self._result(_TOPIC_OF_STATE[_S.FAILED], summary, summary.command_id)

    def _state(self, change: ProcedureChange, request_id: str | None) -> None:
        summary = change.summary
        self._bus.publish(
            "procedure.lifecycle.statechange",
            str(summary.id),
            {"new_state": summary.state.value},
            request_id=request_id,
            procedure_id=summary.id,
            subject=change,
        )

    def _result(self, topic: str, summary: ProcedureSummary, request_id: str | None) -> None:
        result = {"result": summary.to_dict()}
        self._bus.publish(topic, SOURCE, result, request_id=request_id, procedure_id=summary.id)

    def progress(self, record: Record, topic: str, data: dict[str, Any]) -> None:
        """Announce the progress that a script has reported."""
        event = ScriptEvent(record.procedure.id, data)
        self._publish(event, topic, replace(_change(record), event=event))

    def script_event(self, procedure_id: int, topic: str, data: dict[str, Any]) -> None:
        """Announce an event that a script has published."""
        event = ScriptEvent(procedure_id, data)
        self._publish(event, topic, event)

    def _publish(self, event: ScriptEvent, topic: str, subject: object) -> None:
        content = dict(event.arguments)
        source = str(content.pop("msg_src", None) or event.procedure_id)
        request_id = content.pop("request_id", None)
        self._bus.publish(
            topic, source, content, request_id=request_id, procedure_id=event.procedure_id, subject=subject
        )

    def output(self, procedure_id: int, lines: list[Line], skipped: int) -> None:
        """Announce lines that a procedure has written."""
        content = {
            "procedure_id": procedure_id,
            "skipped": skipped,
            "lines": [line.to_dict() for line in lines],
        }
        self._bus.publish("procedure.output", str(procedure_id), content, procedure_id=procedure_id)

    def start_refused(self, record: Record, request: StartRequest, why: str) -> None:
        """Announce that a procedure which was to be started once READY could not be, and stays READY."""
        pid = record.procedure.id
        content = {**record.content(), "message": why}
        command_id = request.command_id
        outcomes = (CommandOutcome(command_id, "failed", content),) if command_id else ()
        change = _change(record, outcomes)
        message = {"msg": f"procedure {pid} is READY and was not started: {why}"}
        self._bus.publish("user.script.announce", SOURCE, message, procedure_id=pid, subject=change)

    def abort_not_run(self, stopped: Record, why: str) -> None:
        """Announce that a procedure was stopped, but that its subarray could not be aborted."""
        procedure_id = stopped.procedure.id
        message = {"msg": f"procedure {procedure_id} was stopped; its subarray was not aborted: {why}"}
        change = _change(stopped, stopped_without_abort(stopped, why))
        self._bus.publish("user.script.announce", SOURCE, message, procedure_id=procedure_id, subject=change)


def _change(record: Record, outcomes: tuple[CommandOutcome, ...] = ()) -> ProcedureChange:
    return ProcedureChange(record.procedure.summary(), outcomes, record.progress())
