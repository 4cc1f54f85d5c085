"""What requests pass before the API: size, token, proxies."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, Request

from ska_oso_oet.rest.guards import BehindProxy, Counted, Counter, SizeLimit, TokenRequired
from ska_oso_oet.rest.spelling import OneSpelling

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ska_oso_oet.rest.settings import Network

app = FastAPI()


@app.get("/api/item")
@app.post("/api/item")
async def item(request: Request) -> dict[str, Any]:
    return {"uri": str(request.url_for("item")), "size": len(await request.body())}


@app.get("/open")
async def unguarded() -> str:
    return "yes"


def ask(guarded: ASGIApp, method: str, path: str, client: str = "10.0.0.9", **request: Any) -> httpx.Response:
    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(guarded, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://oet:5000") as asking:
            return await asking.request(method, path, **request)

    return asyncio.run(scenario())


def test_a_body_of_the_largest_size_passes_unchanged() -> None:
    assert ask(SizeLimit(app, 10), "POST", "/api/item", content=b"x" * 10).json()["size"] == 10


def test_a_larger_body_does_not_whatever_it_says() -> None:
    async def parts() -> Any:
        for _ in range(11):
            yield b"x"

    for content in (b"x" * 11, parts()):
        refused = ask(SizeLimit(app, 10), "POST", "/api/item", content=content)
        assert refused.status_code == 413
        assert refused.json()["error"].startswith("413 ")
        assert "MaxRequestBytes" in refused.json()["Message"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer s3cret", 200),
        ("bearer  s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3cretx", 401),
        ("Bearer ", 401),
        ("s3cret", 401),
        ("Basic s3cret", 401),
    ],
)
def test_a_token(header: str | None, status: int) -> None:
    guarded = TokenRequired(app, "/api", b"s3cret")
    headers = {} if header is None else {"Authorization": header}
    answer = ask(guarded, "GET", "/api/item", headers=headers)
    assert answer.status_code == status
    assert "s3cret" not in answer.text
    assert ask(guarded, "GET", "/open").status_code == 200


FORWARDED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "telescope.example:8443, inner",
    "X-Forwarded-Prefix": "/oet/",
}


@pytest.mark.parametrize(
    ("trusted", "uri"),
    [
        (["*"], "https://telescope.example:8443/oet/api/item"),
        ([ip_network("10.0.0.0/24")], "https://telescope.example:8443/oet/api/item"),
        ([ip_network("10.0.1.0/24")], "http://oet:5000/api/item"),
        ([], "http://oet:5000/api/item"),
    ],
)
def test_uris_behind_a_proxy(trusted: list[Network], uri: str) -> None:
    assert ask(BehindProxy(app, trusted), "GET", "/api/item", headers=FORWARDED).json()["uri"] == uri


def test_a_token_behind_a_proxy_that_takes_a_prefix_away() -> None:
    guarded = BehindProxy(TokenRequired(app, "/api", b"s3cret"), ["*"])
    assert ask(guarded, "GET", "/api/item", headers=FORWARDED).status_code == 401


def test_requests_are_counted_and_told() -> None:
    told = []
    counter = Counter(lambda: told.append(counter.requests))
    guarded = Counted(app, counter)
    for _ in range(2):
        assert json.loads(ask(guarded, "GET", "/open").text) == "yes"
    assert told == [1, 2]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/api/v1.0/items", "/api/v1.0/items"),
        ("/api/v1.0/items/", "/api/v1.0/items"),
        ("/api/v1/items", "/api/v1.0/items"),
        ("/api/v1/items/4//", "/api/v1.0/items/4"),
        ("/api/v1", "/api/v1.0"),
        ("/api/v10/items", "/api/v10/items"),
        ("/healthz/", "/healthz"),
        ("/", "/"),
    ],
)
@pytest.mark.parametrize("root", ["", "/telescope"])
def test_a_path_has_one_spelling_below_the_application(path: str, known: str, root: str) -> None:
    seen: list[str] = []

    async def note(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["path"])

    async def unused(*_: Any) -> Any:
        raise AssertionError

    spelled = OneSpelling(note, "/api/v1.0")
    asyncio.run(spelled({"type": "http", "path": root + path, "root_path": root}, unused, unused))
    assert seen == [root + known]
