"""Every request passes guards before the API: of places, sizes and tokens, and of what a page may load."""

from __future__ import annotations

import asyncio
import hmac
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders

from ska_oso_oet.rest.errors import error_response
from ska_oso_oet.rest.origins import HOST_TOLD_BY_PROXY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ska_oso_oet.rest.settings import Network

BODY_SECS: Final = 30.0
"""How long a body may take."""
_SCHEMES: Final = {"bearer"}
_OWN_FILES: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class Counter:
    """Counts requests, and reports each."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.requests = 0
        self._on_change = on_change

    def add(self) -> None:
        """Count one more."""
        self.requests += 1
        self._on_change()


class Counted:
    """Counts what comes in."""

    def __init__(self, app: ASGIApp, counter: Counter) -> None:
        self._app = app
        self._counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and hand it on."""
        if scope["type"] == "http":
            self._counter.add()
        await self._app(scope, receive, send)


class BehindProxy:
    """Believes X-Forwarded-Proto, -Host and -Prefix, of trusted proxies only: they become part of URIs."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request the place that the client sees."""
        if scope["type"] == "http" and self._trusts(scope):
            scope = self._forwarded(scope)
        await self._app(scope, receive, send)

    def _trusts(self, scope: Scope) -> bool:
        if "*" in self._trusted:
            return True
        try:
            address = ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(network != "*" and address in network for network in self._trusted)

    @staticmethod
    def _forwarded(scope: Scope) -> Scope:
        headers = MutableHeaders(scope=scope)
        told = {part: _first(headers, part) for part in ("proto", "host", "prefix")}
        scope = dict(scope)
        if told["proto"] in {"http", "https"}:
            scope["scheme"] = told["proto"]
        if told["host"]:
            headers = MutableHeaders(raw=list(headers.raw))
            headers["host"] = told["host"]
            scope["headers"] = headers.raw
            scope[HOST_TOLD_BY_PROXY] = True
        if told["prefix"].startswith("/"):
            prefix = told["prefix"].rstrip("/")
            scope["root_path"] = prefix
            # As ASGI wants it, the path has the prefix that the proxy removed.
            scope["path"] = prefix + scope["path"]
        return scope


def _first(headers: Headers, part: str) -> str:
    return headers.get(f"x-forwarded-{part}", "").partition(",")[0].strip()


class TokenRequired:
    """Lets requests below `prefix` pass only with the bearer token."""

    def __init__(self, app: ASGIApp, prefix: str, token: bytes) -> None:
        self._app = app
        self._prefix = prefix
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "http" and self._refuses(scope):
            refusal = error_response(
                HTTPStatus.UNAUTHORIZED,
                "Unauthorized",
                "a bearer token is required: Authorization: Bearer …",
                {"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuses(self, scope: Scope) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if not path.startswith(self._prefix):
            return False
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return not (right and scheme.lower() in _SCHEMES)


class OwnFilesOnly:
    """Lets a page that does not declare itself what it may load have nothing from other servers.

    That is for the viewers of the API's description: they bring scripts and styles within their pages, and
    one of them a logo of its maker's.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and add the header to a page."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", _OWN_FILES)
            await send(message)

        await self._app(scope, receive, guarded)


class SizeLimit:
    """Refuses bodies of more than `limit` bytes, declared or not, and those that do not come."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float = BODY_SECS) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, and hand the request on with it."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(receive)
        except _TooLarge:
            text = f"the request is too large: at most {self._limit} bytes are taken (MaxRequestBytes)"
            refusal = _closing(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "ContentTooLarge", text)
            await refusal(scope, receive, send)
        except TimeoutError:
            text = f"a request comes within {self._seconds:g} s"
            await _closing(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", text)(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Read the body; None when the client has gone."""
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                raise _TooLarge
        return bytes(body)


class _TooLarge(Exception):
    """A body has more bytes than it may have."""


def _closing(status: HTTPStatus, kind: str, text: str) -> Response:
    """Refuse a request whose body is not read to its end."""
    return error_response(status, kind, text, {"Connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
