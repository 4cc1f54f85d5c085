"""Pages of other servers are kept out by the name that a request is for, and the page that it comes from.

A browser lets a page talk to the server of its own name, and whoever owns a name can have it mean any
address, also that of this service (DNS rebinding). So a request has to be for a name that the service is
known by, and one that does something must not come from a page of another place.
"""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ska_oso_oet.rest.errors import error_response

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

HOST_TOLD_BY_PROXY: Final = "oet.host_told_by_proxy"
"""Key of a scope: a trusted proxy, which vouches for it, has declared which name the request is for."""
LOCAL: Final = "localhost"
ANY: Final = "*"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class KnownHost:
    """Lets requests pass that are for one of `names`, for an address, or for what a trusted proxy declares.

    An address cannot be made to mean another machine. `*` among the names stands for any.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = {LOCAL, *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "http" and not self._knows(scope):
            host = Headers(scope=scope).get("host", "")[:80]
            text = f"this server is not known as {host!r}; its property HostNames names what it is known by"
            refusal = error_response(HTTPStatus.MISDIRECTED_REQUEST, "UnknownHost", text)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        if ANY in self._names or scope.get(HOST_TOLD_BY_PROXY):
            return True
        host = Headers(scope=scope).get("host")
        if host is None:  # HTTP/1.0, which no browser speaks
            return True
        name = _name_of(host)
        return name in self._names or _is_address(name)


class OwnPages:
    """Refuses what a page of another place wants done; pages of `allowed` origins may, `*` stands for any."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] == "http" and scope["method"] not in _READING and self._is_foreign(scope):
            text = "pages of another origin may not do this; the property CorsOrigins names those that may"
            await error_response(HTTPStatus.FORBIDDEN, "ForeignOrigin", text)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None:  # a program, or a browser that declares where the request comes from
            return headers.get("sec-fetch-site") == "cross-site"
        if ANY in self._allowed or origin in self._allowed:
            return False
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _name_of(host: str) -> str:
    """Take the port away; what is no host stays something that nobody is known by."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
