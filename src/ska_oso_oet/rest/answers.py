"""All routes of the HTTP API read bodies and make responses with these functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.rest.description import parameters_of
from ska_oso_oet.rest.resources import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

Id = Annotated[int, Path(ge=1, le=2**63 - 1)]


class _Request(Request):
    async def json(self) -> Any:
        """Read JSON as it is defined: no NaN, no lone surrogates, no endless nesting."""
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise HTTPException(400, f"the body is no JSON: {error}") from None


class StrictRoute(APIRoute):
    """A route that reads its body strictly, and refuses a parameter that its description does not have."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Make the handler of requests."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if unknown := sorted(set(request.query_params) - parameters_of(request.app, self.name)):
                raise InvalidArgument(f"no such parameter: {', '.join(unknown)}")
            return await handler(_Request(request.scope, request.receive))

        return handle


def answer(
    body: Model | dict[str, Any] | str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Make a response; it is validated already, so it is only written. A string is JSON."""
    text = body.to_json() if isinstance(body, Model) else body if isinstance(body, str) else json.dumps(body)
    return Response(text, status, dict(headers or {}), "application/json")


def described(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a route may respond with."""
    return {code: {"model": Failure} for code in codes}
