"""HttpClient reaches OETController from Python through its HTTP API, where Tango cannot be used.

::

    with HttpClient("http://my-oet-deployment.com:5000/api/v1.0") as oet:
        oet.run("file:///scripts/observe.py", 14.0)
"""

from __future__ import annotations

from ska_oso_oet.client.http_controller import HttpController
from ska_oso_oet.client.http_server import HttpServer
from ska_oso_oet.client.inbox import CALL_TIMEOUT
from ska_oso_oet.client.oet_client import OETClient


class HttpClient(OETClient):
    """OETClient over HTTP: the same methods, results and errors, without Tango.

    `url` is that of the API; one without a path gets `/api/v1.0`. `token` is the bearer token that the
    server asks for.
    """

    def __init__(self, url: str, call_timeout: float = CALL_TIMEOUT, token: str | None = None) -> None:
        self._controller = HttpController(HttpServer(url, call_timeout, token))
