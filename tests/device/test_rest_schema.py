"""No input makes the HTTP API fail: schemathesis against a real adapter and a real controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
ADAPTER = "ska_oso_oet.device.rest_adapter", "OETRestAdapter"
ENDLESS = "/api/v1.0/stream"
WITH_INPUT = {
    ("POST", "/procedures"),
    ("GET", "/procedures/{number}"),
    ("PUT", "/procedures/{number}"),
    ("GET", "/procedures/{number}/output"),
    ("POST", "/activities"),
    ("GET", "/activities/{number}"),
    ("POST", "/sbds"),
    ("GET", "/sbds/{sbd_id}"),
    ("GET", "/sbis"),
    ("GET", "/events"),
    ("GET", "/history"),
    ("POST", "/history/prune"),
}


@pytest.fixture
def url(device_server: DeviceServers, tmp_path: Path) -> str:
    store = tmp_path / "oda"
    store.mkdir()
    folders = {"ScriptRoots": str(tmp_path), "EnvironmentsDir": str(tmp_path / "environments")}
    controller = device_server(
        *CONTROLLER, {**folders, "adminMode/__value": 0}, env={"OET_ODA_DATA_DIR": str(store)}
    )
    name = f"tango://{controller.get_dev_host()}:{controller.get_dev_port()}/{controller.dev_name()}#dbase=no"
    adapter = device_server(*ADAPTER, {"ControllerName": name, "Port": 0, "adminMode/__value": 0})
    return str(adapter.url).removesuffix("/api/v1.0")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_input_is_answered_with_a_failure_of_the_server(url: str, mode: GenerationMode) -> None:
    document = httpx.get(f"{url}/openapi.json").json()
    del document["paths"][ENDLESS]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    tried = set()
    for found in schema.get_all_operations():
        assert isinstance(found, schemathesis.core.result.Ok), found
        operation = found.ok()
        try:
            check(operation.as_strategy(generation_mode=mode))
        except Unsatisfiable:  # a request without any input cannot be made wrong
            continue
        tried.add((operation.method.upper(), operation.path.removeprefix("/api/v1.0")))
    assert tried >= WITH_INPUT


def check(strategy: Any) -> None:
    @given(case=strategy)
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def never_fails(case: Any) -> None:
        response = case.call()
        assert response.status_code < 500, (case.method, case.path, case.body, response.text)
        if response.status_code >= 400:
            assert set(response.json()) == {"error", "type", "Message"}

    never_fails()
