"""The viewers of the API's description: there without the internet, also behind a prefix."""

from __future__ import annotations

import asyncio
import re
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from ska_oso_oet.rest.app import create_app
from ska_oso_oet.rest.guards import Counter
from ska_oso_oet.rest.settings import RestSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ska_oso_oet.rest.backend import Backend

NAMED = re.compile(r"""(?:src|href|spec-url)="([^"]+)"|\burl: '([^']+)'""")
NOTHING = cast("Backend", SimpleNamespace(controller=None, calls=None, hub=None, states=None))


@cache
def app(token: bytes | None = None, proxies: tuple[str, ...] = ()) -> ASGIApp:
    """Make each application once, since it describes itself once, which takes a second."""
    return create_app(NOTHING, RestSettings.load({"trusted_proxies": proxies}), token, Counter(lambda: None))


def get(*paths: str, prefix: str = "") -> list[httpx.Response]:
    """Ask as a browser does through a proxy that takes the prefix away."""
    headers = {"X-Forwarded-Prefix": prefix}

    async def scenario() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app(proxies=("*",)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
            return [await client.get(path.removeprefix(prefix), headers=headers) for path in paths]

    return asyncio.run(scenario())


@pytest.mark.parametrize("prefix", ["", "/oet"])
@pytest.mark.parametrize(("path", "files"), [("/docs", 4), ("/redoc", 3)])
def test_all_that_a_viewer_names_is_here(path: str, files: int, prefix: str) -> None:
    [page] = get(path, prefix=prefix)
    assert (page.status_code, "text/html" in page.headers["Content-Type"]) == (200, True)
    named = [url or other for url, other in NAMED.findall(page.text)]
    assert len(named) == files
    assert all(url.startswith(f"{prefix}/") and not url.startswith("//") for url in named), named
    assert "://" not in page.text
    for url, answer in zip(named, get(*named, prefix=prefix), strict=True):
        assert answer.status_code == 200, url
        assert answer.content, url


def test_a_viewer_may_load_nothing_else() -> None:
    """One of them has a logo on its maker's server."""
    for page in get("/docs", "/redoc"):
        policy = dict(part.split(maxsplit=1) for part in page.headers["Content-Security-Policy"].split("; "))
        assert policy.pop("default-src") == "'none'"
        sources = {source for value in policy.values() for source in value.split()}
        assert sources == {"'self'", "'unsafe-inline'", "'none'", "data:", "blob:"}


def test_the_page_of_operators_keeps_its_own_policy() -> None:
    [page] = get("/")
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert len(page.headers.get_list("Content-Security-Policy")) == 1


def test_requests_of_a_viewer_go_where_it_came_from() -> None:
    assert get("/openapi.json", prefix="/oet")[0].json()["servers"] == [{"url": "/oet"}]
    assert "Preference-Applied" in get("/openapi.json")[0].text


def description(token: bytes | None) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token.decode()}"}

    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(app(token))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
            return await client.get("/openapi.json", headers=headers)

    document: dict[str, Any] = asyncio.run(scenario()).json()
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for path in document["paths"].values() for each in path.values()}


def test_a_generator_of_clients_finds_what_it_needs() -> None:
    found = operations(description(None))
    assert {"create_procedure", "update_procedure", "run_activity", "list_sbds"} <= set(found)
    for name, operation in found.items():
        assert "422" not in operation["responses"], name
        for parameter in operation.get("parameters", []):
            assert parameter["in"] != "header" or "array" not in str(parameter["schema"]), name
    assert "400" in found["list_history"]["responses"]
    assert "HTTPValidationError" not in str(found)
    assert not any("security" in operation for operation in found.values())


def test_a_token_is_part_of_the_description_of_the_api_alone() -> None:
    document = description(b"s3cret")
    assert document["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}
    found = operations(document)
    assert found["create_procedure"]["security"] == [{"bearer": []}]
    assert "security" not in found["alive"]


@pytest.mark.parametrize(
    "path",
    ["/healthz?x=1", "/api/v1.0/procedures?state=READY", "/api/v1/status?a=", "/api/v1.0/sbds?limit=1"],
)
def test_an_unknown_parameter_is_a_fault_wherever_it_is(path: str) -> None:
    [refused] = get(path)
    assert (refused.status_code, refused.json()["type"]) == (400, "OET_InvalidArgument")
    assert refused.json()["Message"].startswith("no such parameter: ")
