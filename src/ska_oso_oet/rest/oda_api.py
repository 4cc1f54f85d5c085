"""The HTTP API has the Scheduling Blocks of the controller's ODA, and what was executed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response
from pydantic import JsonValue

from ska_oso_oet.models import Model
from ska_oso_oet.oda.desk import (
    MAX_LIMIT,
    SBDefinitionList,
    SBDefinitionQuery,
    SBInstanceList,
    SBInstanceQuery,
    SBInstancesQuery,
    StoredSBDefinition,
)
from ska_oso_oet.oda.sbdefinition import SBDefinition
from ska_oso_oet.rest.answers import StrictRoute, answer, described

if TYPE_CHECKING:
    from enum import Enum

    from ska_oso_oet.rest.backend import Backend


_TAGS: Final[list[str | Enum]] = ["scheduling blocks"]


class OneSBDefinition(Model):
    """An SBDefinition as it is stored; `oda` is the store that has it."""

    oda: str
    sbd: dict[str, JsonValue]


class OneSBInstance(Model):
    """An SBInstance as it is stored; `oda` is the store that has it."""

    oda: str
    sbi: dict[str, JsonValue]


class SBInstanceParameters(Model):
    """The query of a request for SBInstances, as text has it."""

    sbd_id: str | None = None
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50
    page: Annotated[int, Query(ge=1, le=2**31)] = 1

    def query(self) -> SBInstancesQuery:
        """Make the argument of the command; raises InvalidArgument for what is no id."""
        return SBInstancesQuery.parse(self.model_dump())


def sbd_routes(backend: Backend) -> APIRouter:
    """Make the resources of SBDefinitions."""
    router = APIRouter(
        prefix="/sbds", tags=_TAGS, route_class=StrictRoute, responses=described(400, 502, 503)
    )
    controller, calls = backend.controller, backend.calls

    @router.get("", response_model=SBDefinitionList)
    async def list_sbds() -> Response:
        """List the newest version of every SBDefinition, by id."""
        return answer(await calls.ask(controller.sbds))

    @router.post("", status_code=201, response_model=OneSBDefinition, responses=described(409, 413))
    async def add_sbd(request: Request, document: Annotated[dict[str, Any], Body()]) -> Response:
        """Store an SBDefinition; one without a version becomes the next version."""
        stored: StoredSBDefinition = await calls.ask(controller.add_sbd, SBDefinition.submitted(document))
        place = f"{request.url_for('list_sbds')}/{stored.sbd.sbd_id}?version={stored.sbd.version}"
        return answer(stored, 201, {"Location": place})

    @router.get("/{sbd_id}", response_model=OneSBDefinition, responses=described(404))
    async def get_sbd(
        sbd_id: Annotated[str, Path()], version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
    ) -> Response:
        """Read an SBDefinition, by default its newest version."""
        query = SBDefinitionQuery.parse({"sbd_id": sbd_id, "version": version})
        return answer(await calls.ask(controller.sbd, query))

    return router


def sbi_routes(backend: Backend) -> APIRouter:
    """Make the resources of SBInstances."""
    router = APIRouter(
        prefix="/sbis", tags=_TAGS, route_class=StrictRoute, responses=described(400, 502, 503)
    )
    controller, calls = backend.controller, backend.calls

    @router.get("", response_model=SBInstanceList)
    async def list_sbis(asked: Annotated[SBInstanceParameters, Query()]) -> Response:
        """List SBInstances, newest first, a page at a time: what was executed of which SBDefinition."""
        return answer(await calls.ask(controller.sbis, asked.query()))

    @router.get("/{sbi_id}", response_model=OneSBInstance, responses=described(404))
    async def get_sbi(sbi_id: Annotated[str, Path()]) -> Response:
        """Read an SBInstance."""
        return answer(await calls.ask(controller.sbi, SBInstanceQuery.parse({"sbi_id": sbi_id})))

    return router
