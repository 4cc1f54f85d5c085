"""Settings of the HTTP API: properties, environment and what is wrong with them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.rest.settings import RestSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_closed_by_default() -> None:
    settings = RestSettings.load({})
    assert (settings.host, settings.port, settings.api_prefix) == ("127.0.0.1", 5000, "/api/v1.0")
    assert (settings.cors_origins, settings.trusted_proxies, settings.token()) == ([], [], None)


def test_the_environment_counts_and_a_property_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OET_REST_PORT", "6000")
    monkeypatch.setenv("OET_REST_HOST", "0.0.0.0")
    monkeypatch.setenv("OET_REST_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("OET_REST_URI", "http://that.of.the.command.line/")
    settings = RestSettings.load({"port": 7000})
    assert (settings.host, settings.port) == ("0.0.0.0", 7000)
    assert settings.trusted_proxies == [ip_network("10.0.0.0/8"), ip_network("::1")]


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("port", 65536, "property Port"),
        ("port", -1, "property Port"),
        ("api_prefix", "api", "property ApiPrefix"),
        ("api_prefix", "/api/", "property ApiPrefix"),
        ("api_prefix", "/{x}", "property ApiPrefix"),
        ("trusted_proxies", ["10.0.0.0/99"], "property TrustedProxies"),
        ("max_request_bytes", 0, "property MaxRequestBytes"),
    ],
)
def test_a_bad_property_is_named(field: str, value: object, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        RestSettings.load({field: value})


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OET_REST_PORT", "many")
    with pytest.raises(InvalidArgument, match="environment variable OET_REST_PORT"):
        RestSettings.load({})


def test_a_token_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = RestSettings.load({"token_file": str(file)})
    with pytest.raises(InvalidArgument, match=r"TokenFile.*No such file"):
        settings.token()
    file.write_text(" \n")
    with pytest.raises(InvalidArgument, match="is empty"):
        settings.token()
    file.write_text("s3cret\n")
    assert settings.token() == b"s3cret"
