"""Each request about procedures or activities over HTTP becomes a call of the controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ska_oso_oet.client.waiting import ACTIVITIES, PROCEDURES
from ska_oso_oet.errors import ActivityNotFound, NotFound, OetError
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.rest.answers import Id, StrictRoute, answer, described
from ska_oso_oet.rest.errors import AbortFailed
from ska_oso_oet.rest.preferences import APPLIED, Preferences, preferences
from ska_oso_oet.rest.requests import NewActivity, NewProcedure, ProcedureUpdate
from ska_oso_oet.rest.resources import (
    AbortMessage,
    Activity,
    AllActivities,
    AllProcedures,
    OneActivity,
    OneProcedure,
    Output,
    Procedure,
    StoppedProcedure,
)
from ska_oso_oet.ska.control_model import ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.activity.domain import ActivitySummary
    from ska_oso_oet.client.waiting import CommandResult
    from ska_oso_oet.procedure.domain import ProcedureSummary
    from ska_oso_oet.rest.backend import Backend

Preferred = Annotated[Preferences, Depends(preferences)]


def _procedures(request: Request) -> Callable[[ProcedureSummary], Procedure]:
    """Present procedures below the URI of their collection, as this client sees it."""
    collection = request.url_for("list_procedures")
    return lambda summary: Procedure.of(summary, f"{collection}/{summary.id}")


def _activities(request: Request) -> Callable[[ActivitySummary], Activity]:
    collection = request.url_for("list_activities")
    return lambda summary: Activity.of(summary, f"{collection}/{summary.id}")


def procedure_routes(backend: Backend) -> APIRouter:
    """Make the resources of procedures."""
    router = APIRouter(
        prefix="/procedures", tags=["procedures"], route_class=StrictRoute, responses=described(503)
    )
    controller, calls = backend.controller, backend.calls

    @router.get("", response_model=AllProcedures)
    async def list_procedures(request: Request) -> Response:
        """List every live procedure and the newest finished ones, oldest first."""
        summaries = await calls.ask(controller.listed, PROCEDURES)
        return answer(AllProcedures(procedures=list(map(_procedures(request), summaries))))

    @router.post(
        "",
        status_code=201,
        response_model=OneProcedure,
        responses={201: {"headers": APPLIED}, **described(400, 409, 413, 502)},
    )
    async def create_procedure(request: Request, new: NewProcedure, prefer: Preferred) -> Response:
        """Load a script and call its `init`; the answer is given as soon as the procedure exists.

        With `Prefer: wait=N`, or `?wait=N`, it is given once the procedure is READY or has ended, or after N
        seconds.
        """
        summary = await backend.create(new.command(), prefer.wait)
        procedure = _procedures(request)(summary)
        headers = {"Location": procedure.uri, **prefer.applied()}
        return answer(OneProcedure(procedure=procedure), 201, headers)

    @router.get("/{number}", response_model=OneProcedure, responses=described(404))
    async def get_procedure(request: Request, number: Id) -> Response:
        """Describe a procedure."""
        return answer(OneProcedure(procedure=_procedures(request)(await backend.describe(number))))

    @router.put(
        "/{number}",
        response_model=OneProcedure | AbortMessage | StoppedProcedure,
        responses={200: {"headers": APPLIED}, **described(400, 404, 409, 413, 502, 504)},
    )
    async def update_procedure(
        request: Request,
        number: Id,
        update: ProcedureUpdate,
        prefer: Preferred,
    ) -> Response:
        """Start a procedure (state RUNNING), or stop a live one (state STOPPED).

        A start is answered when it is accepted. Where the procedure is not READY yet, it begins as soon as it
        is, unless `force_start` is false. With `Prefer: wait=N`, or `?wait=N`, it is answered once the
        procedure is RUNNING or has ended, or after N seconds.

        A stop is answered when the process is gone and, unless `abort` is false or main was not called, the
        abort script has ended: by a message, or with `Prefer: return=representation` by the procedure and the
        result of the stop, which then tells also what the abort script did not do.
        """
        if update.state == "RUNNING":
            summary = await backend.start(number, update, prefer.wait)
            procedure = _procedures(request)(summary)
            return answer(OneProcedure(procedure=procedure), 200, prefer.applied())
        result = await backend.stop(number, run_abort=update.abort)
        if prefer.representation:
            procedure = _procedures(request)(await backend.describe(number))
            return answer(_stopped(procedure, result), 200, prefer.applied(stopped=True))
        return answer(AbortMessage(abort_message=_abort_message(number, result, demanded=update.abort)))

    @router.get("/{number}/output", response_model=Output, responses=described(404))
    async def get_output(number: Id, since: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0) -> Response:
        """Read what a procedure has written, after line `since`."""
        return answer(await backend.output(number, since))

    return router


def _stopped(procedure: Procedure, result: CommandResult) -> dict[str, Any]:
    told = {"code": result.code.name, **(result.detail or {"message": result.text})}
    return {"procedure": procedure.to_dict(), "result": told}


def _abort_message(number: int, result: CommandResult, *, demanded: bool | None) -> str:
    message = f"Successfully stopped script with ID {number}"
    if result.code is not ResultCode.OK:
        raise OetError(f"the stop of procedure {number} ended otherwise: {result.text}")
    abort = result.detail.get("abort")
    if abort is None:
        return message
    if abort.get("state") == ProcedureState.COMPLETE:
        # The blank at its end is part of the text that clients of the original know.
        return f"{message} and aborted subarray activity "
    why = abort.get("message") or f"the abort script is {abort.get('state')}"
    told = f"{message}, but its subarray was not aborted: {why}"
    if demanded or abort.get("state") is not None:
        raise AbortFailed(told)
    return told


def activity_routes(backend: Backend) -> APIRouter:
    """Make the resources of activities."""
    router = APIRouter(
        prefix="/activities", tags=["activities"], route_class=StrictRoute, responses=described(502, 503)
    )
    controller, calls = backend.controller, backend.calls

    @router.get("", response_model=AllActivities)
    async def list_activities(request: Request) -> Response:
        """List the activities, oldest first."""
        summaries = await calls.ask(controller.listed, ACTIVITIES)
        return answer(AllActivities(activities=list(map(_activities(request), summaries))))

    @router.post(
        "",
        status_code=201,
        response_model=OneActivity,
        responses={201: {"headers": APPLIED}, **described(400, 409, 413)},
    )
    async def run_activity(request: Request, new: NewActivity, prefer: Preferred) -> Response:
        """Run an activity of a Scheduling Block; the answer has the number of its procedure.

        It is given as soon as that is there, or the activity has ended, or after 2 s; with `Prefer: wait=N`,
        or `?wait=N`, after N seconds.
        """
        summary = await backend.run_activity(new, prefer.wait)
        activity = _activities(request)(summary)
        headers = {"Location": activity.uri, **prefer.applied()}
        return answer(OneActivity(activity=activity), 201, headers)

    @router.get("/{number}", response_model=OneActivity, responses=described(404))
    async def get_activity(request: Request, number: Id) -> Response:
        """Describe an activity."""
        try:
            summary = await calls.ask(controller.described, ACTIVITIES, number)
        except NotFound:
            raise ActivityNotFound(f"No information available for activity ID={number}") from None
        return answer(OneActivity(activity=_activities(request)(summary)))

    return router
