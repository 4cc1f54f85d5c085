"""Clients reach the HTTP API of the OET here: requests, their errors, and the stream of events.

The standard library alone, so that a client needs no package for it, and so that a reader that waits can be
woken by shutting its socket down.
"""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ska_oso_oet.client.inbox import CALL_TIMEOUT
from ska_oso_oet.errors import (
    ControllerUnreachable,
    HistoryUnavailable,
    InvalidArgument,
    NotFound,
    OetError,
    Rejected,
    WaitTimeout,
)
from ska_oso_oet.oda.errors import OdaUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

API_PREFIX: Final = "/api/v1.0"
"""The path of the API where a URL has none."""

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream is taken for dead: the server sends a comment every 15 s."""

_ERRORS: Final[dict[int, type[OetError]]] = {
    400: InvalidArgument,
    401: Rejected,
    404: NotFound,
    409: Rejected,
    413: InvalidArgument,
    503: ControllerUnreachable,
    504: WaitTimeout,
}
_KINDS: Final[dict[str, type[OetError]]] = {
    HistoryUnavailable.code: HistoryUnavailable,
    OdaUnavailable.code: OdaUnavailable,
}


class HttpServer:
    """An HTTP API at `url`, which is asked with `token` if there is one; any thread may use it.

    Raises InvalidArgument for a URL that cannot be one, and for a token that no header can carry.
    """

    def __init__(self, url: str, call_timeout: float = CALL_TIMEOUT, token: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        except ValueError as error:
            raise InvalidArgument(f"{url!r} is no URL: {error}") from None
        if parts.scheme not in {"http", "https"} or not self._host or parts.query or parts.username:
            raise InvalidArgument(f"a server is http://host:port{API_PREFIX}, not {url!r}")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise InvalidArgument("the token has characters that no HTTP header can carry")
        self._path = parts.path.rstrip("/") or API_PREFIX
        self._call_timeout = call_timeout
        # The response to a stop is then its result.
        self._headers = {"Prefer": "return=representation"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self.url = f"{parts.scheme}://{parts.netloc}{self._path}"

    def ask(self, method: str, path: str, body: Any = None, timeout: float | None = None) -> Any:
        """Make a request and return the JSON of its response; raises OetError.

        `timeout` is how long the response may take: WaitTimeout is raised after it. Without it, a server that
        does not reply is unreachable.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection = self._connection()
        try:
            connection.connect()
            connection.sock.settimeout(self._call_timeout if timeout is None else max(timeout, 0.001))
            connection.request(method, self._path + path, content, {**self._headers, **headers})
            response = connection.getresponse()
            return self._decoded(response.status, response.read())
        except TimeoutError:
            if timeout is None:
                raise self._unreachable(f"no answer within {self._call_timeout:g} s") from None
            raise WaitTimeout(f"the request goes on, and was not answered within {timeout:.3g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def stream(self) -> Stream:
        """Open the stream of events; it hears of everything from here on."""
        connection = self._connection()
        try:
            connection.connect()
            waiting = connection.sock
            connection.request("GET", f"{self._path}/stream", headers=self._headers)
            response = connection.getresponse()
            if response.status != http.client.OK:
                self._decoded(response.status, response.read())
            waiting.settimeout(SILENCE)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        except OetError:
            connection.close()
            raise
        return Stream(self, connection, waiting, response)

    def lost(self, error: Exception) -> ControllerUnreachable:
        """Make the error for a stream of events that broke."""
        return self._unreachable(error)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host or "", self._port, timeout=self._call_timeout)

    def _decoded(self, status: int, body: bytes) -> Any:
        try:
            document = json.loads(body)
            if status < http.client.BAD_REQUEST:
                return document
            kind, message = document["type"], document["Message"]
        except (ValueError, TypeError, KeyError):
            raise self._unreachable(f"what answers there ({status}) is no OET") from None
        if status == http.client.SERVICE_UNAVAILABLE:
            raise self._unreachable(message)
        error = _KINDS.get(kind) or _ERRORS.get(status, OetError)
        raise error(message)

    def _unreachable(self, error: object) -> ControllerUnreachable:
        if isinstance(error, ConnectionRefusedError):
            return ControllerUnreachable(f"nothing answers at {self.url}: is `oet up` running there?")
        return ControllerUnreachable(f"cannot reach {self.url}: {error or type(error).__name__}")


class Stream:
    """An open stream of server-sent events: one thread iterates over it, any may close it."""

    def __init__(
        self,
        server: HttpServer,
        connection: http.client.HTTPConnection,
        waiting: socket.socket,
        response: http.client.HTTPResponse,
    ) -> None:
        self._server = server
        self._connection = connection
        self._socket = waiting
        self._response = response

    def __iter__(self) -> Iterator[str | None]:
        """Yield the topic of each event, None for a message of the server itself, until it ends the stream.

        Raises ControllerUnreachable when the stream breaks.
        """
        fields: dict[str, str] = {}
        try:
            while line := self._response.readline():
                name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    yield None if "event" in fields else json.loads(fields["data"]).get("topic")
                    fields = {}
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._server.lost(error) from None
        finally:
            self._response.close()
            self._connection.close()

    def close(self) -> None:
        """Wake who iterates, with the end of the stream."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
