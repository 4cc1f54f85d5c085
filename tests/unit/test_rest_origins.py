"""For which name a request may be, and from whose page it may come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from fastapi import FastAPI

from ska_oso_oet.rest.guards import BehindProxy
from ska_oso_oet.rest.origins import KnownHost, OwnPages
from ska_oso_oet.rest.settings import RestSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

app = FastAPI()


@app.api_route("/", methods=["GET", "POST", "PUT", "DELETE"])
async def root() -> str:
    return "passed"


def status_of(guarded: ASGIApp, headers: dict[str, str], method: str = "GET") -> int:
    async def scenario() -> int:
        transport = httpx.ASGITransport(guarded, client=("10.0.0.9", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:5000") as asking:
            return (await asking.request(method, "/", headers=headers)).status_code

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:5000", 200),
        ("LOCALHOST", 200),
        ("localhost.:5000", 200),
        ("127.0.0.1:5000", 200),
        ("10.1.2.3", 200),
        ("[::1]:5000", 200),
        ("oet.example.org:5000", 200),
        ("evil.example:5000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:localhost", 421),
        ("x@localhost", 421),
        ("2130706433", 421),
        ("", 421),
        ("[::1", 200),
        ("[evil.example]", 421),
    ],
)
def test_a_request_is_for_a_name_that_the_server_is_known_by(host: str, status: int) -> None:
    guarded = KnownHost(app, ["Oet.Example.ORG"])
    for method in ("GET", "POST"):
        assert status_of(guarded, {"Host": host}, method) == status


def test_any_name_may_be_known() -> None:
    assert status_of(KnownHost(app, ["*"]), {"Host": "evil.example"}) == 200


@pytest.mark.parametrize(("trusted", "status"), [(["*"], 200), ([], 421)])
def test_a_trusted_proxy_says_which_name_the_request_is_for(trusted: list[str], status: int) -> None:
    guarded = BehindProxy(KnownHost(app, []), RestSettings.load({"trusted_proxies": trusted}).trusted_proxies)
    told = {"Host": "inner", "X-Forwarded-Host": "oet.example.org"}
    assert status_of(guarded, told) == status
    assert status_of(guarded, {"Host": "inner"}) == 421


@pytest.mark.parametrize(
    ("host", "expected"), [("oet.example.org", "oet.example.org"), ("127.0.0.1", "127.0.0.1")]
)
def test_where_it_listens_is_a_name_that_it_is_known_by(host: str, expected: str) -> None:
    assert RestSettings.load({"host": host, "host_names": ["a", "b"]}).known_names == ["a", "b", expected]
    assert RestSettings.load({"host": "0.0.0.0"}).known_names != ["0.0.0.0"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:5000"}, 200),
        ({"Origin": "http://LocalHost:5000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://localhost:5000"}, 200),
        ({"Origin": "http://localhost:5000", "Host": "LocalHost:5000"}, 200),
        ({"Origin": "https://taranta.example", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_pages_of_another_origin_have_nothing_done(headers: dict[str, str], status: int) -> None:
    guarded = OwnPages(app, ["https://taranta.example"])
    for method in ("POST", "PUT", "DELETE"):
        assert status_of(guarded, headers, method) == status
    assert status_of(guarded, headers) == 200
