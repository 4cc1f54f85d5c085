"""The HTTP application has the API, the probes, the web page, and what guards them."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from ska_oso_oet import __version__
from ska_oso_oet.rest import errors
from ska_oso_oet.rest.answers import StrictRoute
from ska_oso_oet.rest.api import activity_routes, procedure_routes
from ska_oso_oet.rest.description import describe, operation_id
from ska_oso_oet.rest.event_api import event_routes
from ska_oso_oet.rest.guards import BehindProxy, Counted, OwnFilesOnly, SizeLimit, TokenRequired
from ska_oso_oet.rest.history_api import history_routes
from ska_oso_oet.rest.oda_api import sbd_routes, sbi_routes
from ska_oso_oet.rest.origins import KnownHost, OwnPages
from ska_oso_oet.rest.spelling import OneSpelling
from ska_oso_oet.rest.status_api import status_routes

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ska_oso_oet.rest.backend import Backend
    from ska_oso_oet.rest.guards import Counter
    from ska_oso_oet.rest.settings import RestSettings

_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PAGE_HEADERS: Final = {
    # Nothing is fetched from anywhere else, and nothing that a script wrote can become part of the page.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_ROUTES: Final = (
    *(procedure_routes, activity_routes, sbd_routes, sbi_routes),
    *(history_routes, event_routes, status_routes),
)
_DESCRIPTION: Final = """Observing scripts on demand, as REST resources.

Create a procedure with POST, start it by setting its state to RUNNING, stop it by setting it to STOPPED.
`/stream` sends everything that happens as server-sent events."""


def create_app(backend: Backend, settings: RestSettings, token: bytes | None, counter: Counter) -> ASGIApp:
    """Make the application; `token` is asked for below the API's prefix, None for no token."""
    app = FastAPIOffline(
        title="SKA Observation Execution Tool",
        description=_DESCRIPTION,
        version=__version__,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    describe(app, settings.api_prefix, needs_token=token is not None)
    errors.install(app)
    for routes in _ROUTES:
        app.include_router(routes(backend), prefix=settings.api_prefix)
    app.include_router(_probes(backend))
    app.include_router(_page(settings.api_prefix))
    guarded: ASGIApp = SizeLimit(OwnFilesOnly(app), settings.max_request_bytes)
    if token is not None:
        guarded = TokenRequired(guarded, settings.api_prefix, token)
    guarded = OneSpelling(guarded, settings.api_prefix)
    if settings.cors_origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "Prefer"],
            expose_headers=["Location", "Preference-Applied"],
        )
    guarded = KnownHost(OwnPages(guarded, settings.cors_origins), settings.known_names)
    if settings.trusted_proxies:
        guarded = BehindProxy(guarded, settings.trusted_proxies)
    return Counted(guarded, counter)


def _probes(backend: Backend) -> APIRouter:
    router = APIRouter(tags=["probes"], route_class=StrictRoute)

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        """Report that this process serves."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {}})
    async def ready() -> JSONResponse:
        """Report whether scripts can be started; if not, 503 has the reason."""
        backend.hub.require_ready()
        return JSONResponse({"status": "ready"})

    return router


def _page(api_prefix: str) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    folder = resources.files("ska_oso_oet.rest") / "page"
    index = (folder / "index.html").read_text("utf-8")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}

    @router.get("/")
    async def page(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        text = index.replace("{{root}}", escape(root)).replace("{{api}}", escape(root + api_prefix))
        return Response(text, headers=_PAGE_HEADERS, media_type="text/html")

    @router.get("/page/{name}")
    async def part(name: str) -> Response:
        if Path(name).suffix not in _MEDIA_TYPES or name not in files:
            return errors.error_response(HTTPStatus.NOT_FOUND, errors.NOT_FOUND, f"There is no {name}")
        return Response(files[name], headers=_PAGE_HEADERS, media_type=_MEDIA_TYPES[Path(name).suffix])

    return router
