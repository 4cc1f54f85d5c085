"""The HTTP API reports how the controller fares, as `oet status` and `oet config show` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from ska_oso_oet.rest.answers import StrictRoute, answer, described
from ska_oso_oet.rest.status_resources import Settings, Status

if TYPE_CHECKING:
    from ska_oso_oet.rest.backend import Backend


def status_routes(backend: Backend) -> APIRouter:
    """Make the resources of the controller itself."""
    router = APIRouter(tags=["controller"], route_class=StrictRoute, responses=described(503))

    @router.get("/status", response_model=Status)
    async def get_status() -> Response:
        """Read state, health, who holds which subarray and what there is; possible in every state."""
        return answer(await backend.calls.ask(backend.controller.status))

    @router.get("/settings", response_model=Settings, responses=described(409))
    async def get_settings() -> Response:
        """List the settings in effect, and where each comes from; passwords are left out."""
        return answer(await backend.calls.ask(backend.controller.settings))

    return router
