"""The HTTP API has the events of the bus as a stream, and the journal from any place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from ska_oso_oet.rest.answers import StrictRoute, answer, described
from ska_oso_oet.rest.backend import StreamResponse
from ska_oso_oet.rest.requests import EventsParameters
from ska_oso_oet.rest.resources import SomeEvents
from ska_oso_oet.rest.server_sent import Position

if TYPE_CHECKING:
    from ska_oso_oet.rest.backend import Backend


def event_routes(backend: Backend) -> APIRouter:
    """Make the resources of events."""
    router = APIRouter(tags=["events"], route_class=StrictRoute, responses=described(400, 503))

    @router.get("/events", response_model=SomeEvents)
    async def list_events(asked: Annotated[EventsParameters, Query()]) -> Response:
        """List the events after number `since`, oldest first, as far as the controller's journal reaches.

        Without an `epoch` the running one is meant. `topic` selects topics with what is below them,
        `procedure_id` the events of one procedure.
        """
        return answer(await backend.calls.ask(backend.controller.written_events, asked.query()))

    @router.get(
        "/stream",
        status_code=200,
        response_class=StreamResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def stream_events(
        last_event_id: Annotated[str | None, Header()] = None,
        procedure_id: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        """Send every event, or those of one procedure, as it is published, for ever.

        Each is `data:{…, "topic": …}` with `id:<epoch>:<number>`. With `Last-Event-ID`, what came after that
        event is sent first. A message of the OET itself has a name: `gap` (events that cannot be had any
        more or, without an id, that this client is too slow), `epoch` (the controller was restarted),
        `disconnected` and `reconnected`.
        """
        since = None if last_event_id is None else Position.parse(last_event_id)
        backend.hub.require_events()
        backend.hub.require_place()
        return StreamResponse(backend, since, procedure_id)

    return router
