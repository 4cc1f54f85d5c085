"""What is told of procedures and activities that the controller was lost with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ska_oso_oet.procedure.changes import ProcedureChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.history.store import Recovery
    from ska_oso_oet.procedure.domain import ProcedureSummary


class Publish(Protocol):
    """EventBus.publish, as far as it is needed here."""

    def __call__(
        self,
        topic: str,
        msg_src: str,
        data: Mapping[str, Any],
        *,
        request_id: str | None = None,
        procedure_id: int | None = None,
        subject: object = None,
    ) -> object:
        """Publish an event."""


def announce(recovery: Recovery, publish: Publish) -> None:
    """Publish the events that the lost controller could not: those of an end in FAILED."""
    for procedure in recovery.procedures:
        _announce_procedure(procedure, publish)
    for activity in recovery.activities:
        _announce_activity(activity, publish)


def _announce_procedure(summary: ProcedureSummary, publish: Publish) -> None:
    request_id = summary.command_id
    publish(
        "procedure.lifecycle.statechange",
        str(summary.id),
        {"new_state": summary.state.value},
        request_id=request_id,
        procedure_id=summary.id,
        subject=ProcedureChange(summary),
    )
    publish(
        "procedure.lifecycle.failed",
        "SESWorker",
        {"result": summary.to_dict()},
        request_id=request_id,
        procedure_id=summary.id,
    )


def _announce_activity(summary: ActivitySummary, publish: Publish) -> None:
    publish(
        "activity.lifecycle.statechange",
        "ActivityService",
        {"new_state": summary.state.value, "result": summary.to_dict()},
        request_id=summary.command_id,
        subject=summary,
    )
