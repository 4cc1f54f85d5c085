"""Paths that mean the same: the manual of the original writes `/api/v1` and `/api/v1.0`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_MINOR: Final = ".0"


class OneSpelling:
    """Has a request come with the path that the API knows.

    A slash at its end makes no difference, and a prefix such as `/api/v1.0` may be written `/api/v1`.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self._short = prefix.removesuffix(_MINOR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on with its path in one spelling."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            path = self._spelled(scope["path"].removeprefix(root))
            scope = {**scope, "path": root + path}
        await self._app(scope, receive, send)

    def _spelled(self, path: str) -> str:
        short = f"{path.rstrip('/')}/"
        if short.startswith(f"{self._short}/"):
            short = self._prefix + short.removeprefix(self._short)
        return short.rstrip("/") or "/"
