"""The HTTP API lists procedures of all runs of the controller, and prunes the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ska_oso_oet.history.queries import PruneQuery
from ska_oso_oet.rest.answers import StrictRoute, answer, described
from ska_oso_oet.rest.requests import HistoryParameters
from ska_oso_oet.rest.resources import HistoryEntry, HistoryList, PrunedHistory

if TYPE_CHECKING:
    from ska_oso_oet.rest.backend import Backend


def history_routes(backend: Backend) -> APIRouter:
    """Make the resources of the history."""
    router = APIRouter(
        prefix="/history", tags=["history"], route_class=StrictRoute, responses=described(400, 502, 503)
    )

    @router.get("", response_model=HistoryList)
    async def list_history(request: Request, asked: Annotated[HistoryParameters, Query()]) -> Response:
        """List procedures of this and earlier runs of the controller, newest first, a page at a time.

        `total` counts what matches on all pages. When the database of the history is away, that is a 502 of
        the type `OET_HistoryUnavailable`.
        """
        page = await backend.calls.ask(backend.controller.history, asked.query())
        collection = request.url_for("list_procedures")
        entries = [HistoryEntry.of(entry, f"{collection}/{entry.id}") for entry in page.procedures]
        return answer(HistoryList(procedures=entries, total=page.total))

    @router.post("/prune", response_model=PrunedHistory, responses=described(409, 413, 504))
    async def prune_history(query: PruneQuery) -> Response:
        """Delete what has ended from the history; the response comes when it is gone.

        `older_than` (s) is the age of the end; the newest `keep` procedures and activities stay whatever
        their age. One of them is required.
        """
        return answer(PrunedHistory(pruned=await backend.prune(query)))

    return router
