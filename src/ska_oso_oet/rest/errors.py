"""Errors have one form: `{"error": "404 Not Found", "type": "ResourceNotFound", "Message": "…"}`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ska_oso_oet.errors import (
    CommandForgotten,
    ControllerUnreachable,
    InvalidArgument,
    NotFound,
    OetError,
    Rejected,
    WaitTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI, Request

_log = logging.getLogger(__name__)

NOT_FOUND: Final = "ResourceNotFound"
"""The type that clients of the original look for."""


class AbortFailed(OetError):
    """A procedure was stopped as asked, but its subarray was not aborted."""

    code = "OET_AbortFailed"


class TooManyStreams(OetError):
    """No more clients can listen to events; other requests are served."""

    code = "OET_TooManyStreams"


_STATUS_OF: Final[tuple[tuple[type[OetError], HTTPStatus], ...]] = (
    (TooManyStreams, HTTPStatus.SERVICE_UNAVAILABLE),
    (CommandForgotten, HTTPStatus.BAD_GATEWAY),  # nothing that the request names
    (NotFound, HTTPStatus.NOT_FOUND),
    (InvalidArgument, HTTPStatus.BAD_REQUEST),
    (Rejected, HTTPStatus.CONFLICT),
    (ControllerUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (WaitTimeout, HTTPStatus.GATEWAY_TIMEOUT),
    (OetError, HTTPStatus.BAD_GATEWAY),
)
_TYPE_OF: Final = {
    HTTPStatus.BAD_REQUEST: InvalidArgument.code,
    HTTPStatus.NOT_FOUND: NOT_FOUND,
}


def error_body(status: HTTPStatus, kind: str, message: str) -> dict[str, str]:
    """Make the body of an error."""
    return {"error": f"{status.value} {status.phrase}", "type": kind, "Message": message}


def error_response(
    status: HTTPStatus, kind: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Make the response to a request that failed."""
    return JSONResponse(error_body(status, kind, message), status.value, headers)


def install(app: FastAPI) -> None:
    """Have an app report every failure in one form."""
    app.add_exception_handler(OetError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _bug)


async def _expected(_: Request, error: Exception) -> JSONResponse:
    status = next(status for kind, status in _STATUS_OF if isinstance(error, kind))
    code = getattr(error, "code", OetError.code)
    return error_response(status, NOT_FOUND if status is HTTPStatus.NOT_FOUND else code, str(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    if any(fault["loc"][0] == "path" for fault in faults):
        return error_response(HTTPStatus.NOT_FOUND, NOT_FOUND, f"There is no {request.url.path}")
    if any(fault["loc"] == ("body",) for fault in faults) and not _is_json(request):
        sent = request.headers.get("content-type", "no type")
        message = f"the body was sent as {sent}: send it with Content-Type: application/json"
        return error_response(HTTPStatus.BAD_REQUEST, InvalidArgument.code, message)
    return error_response(HTTPStatus.BAD_REQUEST, InvalidArgument.code, _explain(faults))


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _explain(faults: Iterable[Any]) -> str:
    clauses = []
    for fault in faults:
        path = ".".join(str(part) for part in fault["loc"][1:])
        clauses.append(f"{path + ': ' if path else ''}{fault['msg']}")
    return "; ".join(clauses)


async def _http(_: Request, error: Exception) -> JSONResponse:
    code = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    status = HTTPStatus(code)
    kind = _TYPE_OF.get(status, status.phrase.replace(" ", ""))
    headers = dict(getattr(error, "headers", None) or {})
    return error_response(status, kind, str(getattr(error, "detail", "")), headers)


async def _bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = f"{type(error).__name__}: a defect of the OET, described in the log of its REST adapter"
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message)
