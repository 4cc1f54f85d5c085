"""OETRestAdapter: HTTP before a real controller, and the device around it."""

from __future__ import annotations

import json
import queue
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
import tango

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
ADAPTER = "ska_oso_oet.device.rest_adapter", "OETRestAdapter"
DEADLINE = 30.0
ON, OFF, FAULT = tango.DevState.ON, tango.DevState.OFF, tango.DevState.FAULT
OK, DEGRADED, FAILED = 0, 1, 2
WATCHED = ("State", "healthState", "url", "streamClients", "requestCount", "controllerState")

SCRIPT = """
import time

def init(subarray_id=None, sb_uri=None):
    pass

def main(scan_duration=0.0):
    print("scanning", flush=True)
    time.sleep(scan_duration)
"""


class Adapter:
    """A running adapter, its HTTP client, and a queue of what its attributes tell."""

    def __init__(self, proxy: tango.DeviceProxy, folder: Path) -> None:
        self.proxy = proxy
        self.folder = folder
        self.told: queue.Queue[tuple[str, Any]] = queue.Queue()
        for name in WATCHED:
            proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, self._on_event)

    def _on_event(self, event: tango.EventData) -> None:
        if not event.err:
            self.told.put((event.attr_value.name.lower(), event.attr_value.value))

    def catch_up(self) -> None:
        """Tell what has changed between the first value of a subscription and its first event."""
        for name in WATCHED:
            self.told.put((name.lower(), self.proxy.read_attribute(name).value))

    def until(self, name: str, value: object) -> None:
        """Wait until an attribute has told a value."""
        seen = []
        while True:
            try:
                seen.append(self.told.get(timeout=DEADLINE))
            except queue.Empty:
                pytest.fail(f"{name} did not become {value}: {seen}")
            if seen[-1] == (name, value):
                return

    def until_not_ready(self, text: str) -> None:
        """Wait until a probe is answered with a reason that contains a text."""
        deadline = time.monotonic() + DEADLINE
        answer = None
        while time.monotonic() < deadline:
            answer = httpx.get(httpx.URL(self.proxy.url).join("/readyz"), timeout=DEADLINE)
            if answer.status_code == 503 and text in answer.json()["Message"]:
                return
        pytest.fail(f"{answer and answer.text}")

    @property
    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.proxy.url, timeout=DEADLINE)

    def script(self, source: str = SCRIPT) -> str:
        path = self.folder / "script.py"
        path.write_text(source)
        return path.as_uri()


@pytest.fixture
def controller(device_server: DeviceServers, tmp_path: Path) -> tango.DeviceProxy:
    properties = {
        "ScriptRoots": str(tmp_path),
        "adminMode/__value": 0,
        "EnvironmentsDir": str(tmp_path / "environments"),
        "AbortScript": (tmp_path / "abort.py").as_uri(),
    }
    proxy = device_server(*CONTROLLER, properties)
    ready: queue.Queue[None] = queue.Queue()

    def on_event(event: tango.EventData) -> None:
        if not event.err and event.attr_value.value == "":
            ready.put(None)

    proxy.subscribe_event("whyNotReady", tango.EventType.CHANGE_EVENT, on_event)
    ready.get(timeout=DEADLINE)
    return proxy


@pytest.fixture
def start_adapter(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> Callable[..., Adapter]:
    def start(controller_name: str, **properties: object) -> Adapter:
        given = {"ControllerName": controller_name, "Port": 0, "adminMode/__value": 0, **properties}
        proxy = device_server(*ADAPTER, given)
        adapter = Adapter(proxy, tmp_path)
        event_channel(proxy)
        adapter.catch_up()
        return adapter

    return start


@pytest.fixture
def adapter(controller: tango.DeviceProxy, start_adapter: Callable[..., Adapter]) -> Adapter:
    adapter = start_adapter(name_of(controller))
    adapter.until("healthstate", OK)
    return adapter


def name_of(proxy: tango.DeviceProxy) -> str:
    return f"tango://{proxy.get_dev_host()}:{proxy.get_dev_port()}/{proxy.dev_name()}#dbase=no"


def sent_events(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Read server-sent events as the standard has them."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if not line:
            if fields:
                yield fields
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


def created(client: httpx.Client, uri: str, **kwargs: object) -> httpx.Response:
    body = {"script_uri": uri, "script_args": {"init": {"kwargs": kwargs}}}
    response = client.post("/procedures", json=body)
    assert response.status_code == 201, response.text
    return response


def until_state(events: Iterator[dict[str, str]], topic: str) -> dict[str, Any]:
    for event in events:
        data: dict[str, Any] = json.loads(event["data"])
        if data.get("topic") == topic:
            return data
    pytest.fail(f"the stream ended without {topic}")


def test_a_procedure_from_creation_to_its_end(adapter: Adapter) -> None:
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        events = sent_events(stream)
        response = created(client, adapter.script(), subarray_id=1, sb_uri="file:///sb.json")
        procedure = response.json()["procedure"]
        assert response.headers["Location"] == procedure["uri"]
        ready = until_state(events, "procedure.lifecycle.ready")
        assert ready["result"]["id"] == 1
        assert ready["msg_src"] == "SESWorker"
        shown = client.get(procedure["uri"]).json()["procedure"]
        assert list(shown)[:5] == ["script_args", "script", "history", "state", "uri"]
        body = {"script_args": {"run": {"kwargs": {"scan_duration": 0.01}}}, "state": "RUNNING"}
        started = client.put(procedure["uri"], json=body)
        assert started.status_code == 200, started.text
        assert started.json()["procedure"]["script_args"]["run"] == {
            "args": [],
            "kwargs": {"scan_duration": 0.01},
        }
        until_state(events, "procedure.lifecycle.complete")
        output = client.get(procedure["uri"] + "/output").json()
        assert [line["text"] for line in output["lines"]] == ["scanning"]
        assert [p["state"] for p in client.get("/procedures").json()["procedures"]] == ["COMPLETE"]


def test_the_session_of_the_manual_at_the_speed_of_a_program(adapter: Adapter) -> None:
    """POST, and PUT at once; and answers that wait for the state that the manual shows."""
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        events = sent_events(stream)
        slow = adapter.script(SCRIPT.replace("    pass", "    time.sleep(0.3)"))
        uri = created(client, slow, subarray_id=1).headers["Location"]
        refused = client.put(uri, json={"state": "RUNNING", "force_start": False})
        assert (refused.status_code, refused.json()["type"]) == (409, "OET_Rejected")
        body = {"script_args": {"run": {"kwargs": {"scan_duration": 0.0}}}, "state": "RUNNING"}
        queued = client.put(uri, json=body)
        assert queued.status_code == 200, queued.text
        assert queued.json()["procedure"]["script_args"]["run"]["kwargs"] == {"scan_duration": 0.0}
        assert client.put(uri, json=body).status_code == 409
        body = {"script_uri": slow, "script_args": {"init": {"kwargs": {"subarray_id": 2}}}}
        made = client.post("/procedures", json=body, headers={"Prefer": "wait=30"})
        assert made.headers["Preference-Applied"] == "wait=30"
        assert made.json()["procedure"]["state"] == "READY"
        begun = {"state": "RUNNING", "script_args": {"run": {"args": [600]}}}
        started = client.put(f"{made.headers['Location']}?wait=30", json=begun)
        assert started.json()["procedure"]["state"] == "RUNNING"
        until_state(events, "procedure.lifecycle.complete")
        first = client.get(uri).json()["procedure"]
        assert [state for state, _ in first["history"]["process_states"]][-2:] == ["RUNNING", "COMPLETE"]
        stopped = client.put(made.headers["Location"], json={"state": "STOPPED", "abort": False})
        assert stopped.json() == {"abort_message": "Successfully stopped script with ID 2"}


def test_stop_and_abort(adapter: Adapter) -> None:
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        events = sent_events(stream)
        (adapter.folder / "abort.py").write_text(
            "def init(subarray_id): pass\ndef main(): print('aborted')\n"
        )
        for number, abort, message in (
            (1, False, "Successfully stopped script with ID 1"),
            (2, True, "Successfully stopped script with ID 2 and aborted subarray activity "),
        ):
            uri = created(client, adapter.script(), subarray_id=1).headers["Location"]
            until_state(events, "procedure.lifecycle.ready")
            client.put(uri, json={"state": "RUNNING", "script_args": {"run": {"args": [600]}}})
            stopped = client.put(uri, json={"state": "STOPPED", "abort": abort})
            assert stopped.json() == {"abort_message": message}
            assert client.get(uri).json()["procedure"]["state"] == "STOPPED"
            assert number == int(uri.rpartition("/")[2])
        again = client.put(uri, json={"state": "STOPPED"})
        assert (again.status_code, again.json()["type"]) == (409, "OET_Rejected")


def test_a_failed_abort_is_told(adapter: Adapter) -> None:
    with adapter.client as client:
        uri = created(client, adapter.script()).headers["Location"]
        stopped = client.put(uri, json={"state": "STOPPED", "abort": True})
        assert (stopped.status_code, stopped.json()["type"]) == (502, "OET_AbortFailed")
        assert client.get(uri).json()["procedure"]["state"] == "STOPPED"


@pytest.mark.parametrize(
    ("abort", "outcome"),
    [
        (None, None),
        ("print('aborted')", {"state": "COMPLETE"}),
        ("raise ValueError('dish 4')", {"state": "FAILED", "message": "ValueError: dish 4"}),
    ],
)
def test_a_stop_with_its_result(adapter: Adapter, abort: str | None, outcome: dict[str, Any] | None) -> None:
    (adapter.folder / "abort.py").write_text(f"def init(subarray_id): pass\ndef main(): {abort}\n")
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        uri = created(client, adapter.script(), subarray_id=1).headers["Location"]
        until_state(sent_events(stream), "procedure.lifecycle.ready")
        body = {"state": "STOPPED", "abort": abort is not None}
        stopped = client.put(uri, json=body, headers={"Prefer": 'respond-async, Return="representation"; x'})
        assert stopped.status_code == 200, stopped.text
        assert stopped.headers["Preference-Applied"] == "return=representation"
        assert stopped.json()["procedure"] == client.get(uri).json()["procedure"]
        result = stopped.json()["result"]
        assert (result.pop("code"), result.pop("procedure_id"), result.pop("state")) == ("OK", 1, "STOPPED")
        assert result.get("abort") == (outcome and {**outcome, "procedure_id": 2})
        again = client.put(uri, json=body, headers={"Prefer": "return=representation"})
        assert (again.status_code, again.json()["type"]) == (409, "OET_Rejected")


def test_refusals(adapter: Adapter) -> None:
    with adapter.client as client:
        assert client.get("/procedures/4").json() == {
            "error": "404 Not Found",
            "type": "ResourceNotFound",
            "Message": "No information available for PID=4",
        }
        for method, path, body, status in (
            ("GET", "/procedures/0", None, 404),
            ("GET", f"/procedures/{2**64}", None, 404),
            ("GET", "/procedures/x", None, 404),
            ("GET", "/procedures/4/output", None, 404),
            ("GET", "/activities/4", None, 404),
            ("PUT", "/procedures/4", {"state": "RUNNING"}, 404),
            ("PUT", "/procedures/4", {"state": "STOPPED"}, 404),
            ("PUT", "/procedures/4", {"state": "READY"}, 400),
            ("PUT", "/procedures/4", {}, 400),
            ("GET", "/events?since=-1", None, 400),
            ("GET", "/events?since=1.5", None, 400),
            ("GET", f"/events?since={2**63}", None, 400),
            ("GET", "/events?limit=0", None, 400),
            ("GET", "/events?limit=10001", None, 400),
            ("GET", "/events?topics=user", None, 400),
            ("GET", "/history?state=DONE", None, 400),
            ("GET", "/history?since=nan", None, 400),
            ("GET", f"/history?subarray_id={2**64}", None, 400),
            ("GET", "/history?limit=1001", None, 400),
            ("GET", f"/history?page={2**40}", None, 400),
            ("GET", "/history?states=READY", None, 400),
            ("POST", "/history/prune", {}, 400),
            ("POST", "/history/prune", {"keep": -1}, 400),
            ("POST", "/history/prune", {"keep": "1"}, 400),
            ("POST", "/procedures", {"script_uri": "x.py"}, 400),
            ("POST", "/procedures", {"script_uri": "file:///x.py", "nonsense": 1}, 400),
            ("POST", "/procedures", {"script_uri": "file:///x.py", "script": {}}, 400),
            ("POST", "/procedures", {}, 400),
            ("POST", "/procedures", [], 400),
            ("POST", "/procedures", {"script_uri": "file:///etc/passwd"}, 409),
            ("POST", "/activities", {"activity_name": "", "sbd_id": "s"}, 400),
            ("DELETE", "/procedures", None, 405),
            ("GET", "/nothing", None, 404),
        ):
            response = client.request(method, path, json=body)
            assert response.status_code == status, (method, path, response.text)
            assert set(response.json()) == {"error", "type", "Message"}
        for text in ('{"script_uri": ', '{"a": NaN}', "[" * 100_000, '"\\ud800"', ""):
            headers = {"Content-Type": "application/json"}
            response = client.post("/procedures", content=text, headers=headers)
            assert response.status_code == 400, response.text
            assert set(response.json()) == {"error", "type", "Message"}
        form = client.post("/procedures", content="{}", headers={"Content-Type": "text/plain"})
        assert form.status_code == 400
        assert (
            form.json()["Message"]
            == "the body was sent as text/plain: send it with Content-Type: application/json"
        )
        large = client.post("/procedures", content=b" " * (1024 * 1024 + 1))
        assert large.status_code == 413
        assert client.get("/stream", headers={"Last-Event-ID": "1605017762.46912"}).status_code == 400


def test_a_strange_host_is_no_failure(adapter: Adapter) -> None:
    with adapter.client as client:
        created(client, adapter.script())
        for host in ("[::", "a b", "x:notaport", "", "a/b?c#d@e", "\\", "[v1.x]:80", "é"):
            response = client.get("/procedures", headers=[(b"Host", host.encode())])
            assert response.status_code < 500, response.text


FLOOD = """
from pubsub import pub

def main(count, size):
    for number in range(count):
        pub.sendMessage("test.flood", msg_src="flood", number=number, text="x" * size)
"""


def test_a_reader_that_does_not_read_is_let_go_and_comes_back(adapter: Adapter) -> None:
    """What it is told is bounded; with the id of what it got last it misses nothing."""
    count = 6000
    with adapter.client as client, client.stream("GET", "/stream") as other:
        events = sent_events(other)
        uri = created(client, adapter.script(FLOOD)).headers["Location"]
        until_state(events, "procedure.lifecycle.ready")
        with client.stream("GET", "/stream") as slow:
            run = {"state": "RUNNING", "script_args": {"run": {"args": [count, 10_000]}}}
            assert client.put(uri, json=run).status_code == 200
            until_state(events, "procedure.lifecycle.complete")
            got = list(sent_events(slow))
        assert got[-1]["event"] == "gap"
        assert "id" not in got[-1]
        heard = numbers_of(got[:-1])
        assert 0 < len(heard) < count
        headers = {"Last-Event-ID": got[-2]["id"]}
        with client.stream("GET", "/stream", headers=headers) as again:
            events = sent_events(again)
            while len(heard) < count:
                heard += numbers_of([next(events)])
        assert heard == list(range(count))


def numbers_of(events: list[dict[str, str]]) -> list[int]:
    found = [json.loads(event["data"]) for event in events]
    return [data["number"] for data in found if data.get("topic") == "test.flood"]


def test_web_pages_of_another_origin_only_where_configured(
    controller: tango.DeviceProxy, start_adapter: Callable[..., Adapter]
) -> None:
    asking = {"Origin": "https://taranta.example", "Access-Control-Request-Method": "PUT"}
    allowed = {"CorsOrigins": ["https://taranta.example"]}
    for properties, status in ((allowed, 200), ({"CorsOrigins": ["https://other.example"]}, 400), ({}, 405)):
        adapter = start_adapter(name_of(controller), **properties)
        with adapter.client as client:
            answer = client.options("/procedures/1", headers=asking)
            assert answer.status_code == status
            origin = answer.headers.get("Access-Control-Allow-Origin")
            assert origin == ("https://taranta.example" if status == 200 else None)


def test_replay(adapter: Adapter) -> None:
    with adapter.client as client:
        with client.stream("GET", "/stream") as stream:
            events = sent_events(stream)
            created(client, adapter.script())
            first = next(events)
            rest = [first["id"]]
            for event in events:
                rest.append(event["id"])
                if json.loads(event["data"])["topic"] == "procedure.lifecycle.ready":
                    break
        headers = {"Last-Event-ID": first["id"]}
        with client.stream("GET", "/stream", headers=headers) as stream:
            again = sent_events(stream)
            assert [next(again)["id"] for _ in rest[1:]] == rest[1:]
        unknown = {"Last-Event-ID": "0123abc:7"}
        with client.stream("GET", "/stream", headers=unknown) as stream:
            again = sent_events(stream)
            assert next(again)["event"] == "epoch"
            assert next(again)["id"].endswith(":1")


def test_a_client_may_want_the_events_of_one_procedure(adapter: Adapter) -> None:
    with adapter.client as client:
        first = client.get("/events", params={"limit": 1}).json()
        created(client, adapter.script())
        with client.stream("GET", "/stream", params={"procedure_id": 2}) as stream:
            created(client, adapter.script())
            until_state(sent_events(stream), "procedure.lifecycle.ready")
        created(client, adapter.script())
        headers = {"Last-Event-ID": f"{first['epoch']}:0"}
        with client.stream("GET", "/stream", params={"procedure_id": 2}, headers=headers) as stream:
            events = sent_events(stream)
            told = [json.loads(next(events)["data"])]
            while told[-1]["topic"] != "procedure.lifecycle.ready":
                told.append(json.loads(next(events)["data"]))
        assert {data["procedure_id"] for data in told} == {2}
        kept = client.get("/events", params={"procedure_id": 2}).json()["events"]
        assert [event["topic"] for event in kept][: len(told)] == [data["topic"] for data in told]
        assert {event["procedure_id"] for event in kept} == {2}


def test_events_are_those_of_the_controller(adapter: Adapter, controller: tango.DeviceProxy) -> None:
    with adapter.client as client:
        with client.stream("GET", "/stream") as stream:
            events = sent_events(stream)
            created(client, adapter.script())
            until_state(events, "procedure.lifecycle.ready")
        for query, argument in (
            ("", {}),
            ("?since=3&limit=2", {"since": 3, "limit": 2}),
            ("?since=3&epoch=another", {"since": 3, "epoch": "another"}),
            ("?topic=request&topic=procedure.lifecycle", {"topics": ["request", "procedure.lifecycle"]}),
        ):
            answer = client.get(f"/events{query}")
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.text == controller.GetEvents(json.dumps(argument))
        found = client.get("/events?since=3&limit=2").json()
        assert [event["seq"] for event in found["events"]] == [4, 5]
        assert not found["gap"]


def test_the_history_is_listed_and_pruned(adapter: Adapter) -> None:
    with adapter.client as client:
        with client.stream("GET", "/stream") as stream:
            events = sent_events(stream)
            for subarray in (1, 2, 3):
                uri = created(client, adapter.script(), subarray_id=subarray).headers["Location"]
                until_state(events, "procedure.lifecycle.ready")
                client.put(uri, json={"state": "RUNNING"})
                until_state(events, "procedure.lifecycle.complete")
        # What is announced is written before something is deleted.
        answer = client.post("/history/prune", json={"keep": 10, "older_than": 0.0})
        assert (answer.status_code, answer.json()) == (200, {"pruned": {"procedures": 0, "activities": 0}})
        page = client.get("/history?state=COMPLETE&state=FAILED&since=1&script=SCRIPT&limit=2").json()
        assert page["total"] == 3
        found = page["procedures"][0]
        assert [entry["uri"] for entry in page["procedures"]] == [uri, f"{client.base_url}procedures/2"]
        assert {key: found[key] for key in ("state", "subarray_id")} == {
            "state": "COMPLETE",
            "subarray_id": 3,
        }
        assert "pid" in found["requester"]
        assert found["environment"] is None
        shown = client.get(uri).json()["procedure"]
        assert {key: found[key] for key in shown} == shown
        assert set(found) - set(shown) == {"epoch", "environment"}
        assert client.get("/history?subarray_id=2").json()["total"] == 1
        assert len(client.get("/history?limit=2&page=2").json()["procedures"]) == 1
        pruned = client.post("/history/prune", json={"keep": 1}).json()
        assert pruned == {"pruned": {"procedures": 2, "activities": 0}}
        assert client.get("/history").json()["total"] == 1


def test_an_event_right_after_the_header_is_never_lost(adapter: Adapter) -> None:
    uri = adapter.script()
    with adapter.client as client:
        for _ in range(20):
            with client.stream("GET", "/stream") as stream:
                command_id = created(client, uri).json()["procedure"]["command_id"]
                for event in sent_events(stream):
                    data = json.loads(event["data"])
                    if data["topic"] == "request.procedure.create" and data["request_id"] == command_id:
                        break
                else:
                    pytest.fail("the event was lost")


def test_attributes_tell_what_happens(adapter: Adapter) -> None:
    assert adapter.proxy.State() == ON
    with adapter.client as client:
        with client.stream("GET", "/stream"):
            adapter.until("streamclients", 1)
            assert adapter.proxy.streamClients == 1
        client.get("/procedures")
        adapter.until("requestcount", 2)
    adapter.until("streamclients", 0)
    assert adapter.proxy.controllerState == ON


def test_off_ends_streams_and_on_serves_again(adapter: Adapter) -> None:
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        adapter.until("streamclients", 1)
        adapter.proxy.Off()
        assert list(sent_events(stream)) == []
        adapter.until("state", OFF)
        with pytest.raises(httpx.ConnectError):
            client.get("/procedures")
    assert adapter.proxy.url == ""
    adapter.proxy.On()
    adapter.until("state", ON)
    with adapter.client as client:
        assert client.get("/procedures").status_code == 200


def test_a_taken_port_is_a_fault_that_a_reset_ends(
    controller: tango.DeviceProxy, start_adapter: Callable[..., Adapter]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        adapter = start_adapter(name_of(controller), Port=port)
        assert adapter.proxy.State() == FAULT
        assert f"port {port} of 127.0.0.1" in adapter.proxy.Status()
        adapter.until("healthstate", FAILED)
    adapter.proxy.Reset()
    adapter.until("healthstate", OK)
    assert adapter.proxy.State() == ON
    with adapter.client as client:
        assert client.get("/procedures").json() == {"procedures": []}


def test_a_bad_property_is_a_fault_that_names_it(start_adapter: Callable[..., Adapter]) -> None:
    adapter = start_adapter("a/b/c", ApiPrefix="no prefix")
    assert adapter.proxy.State() == FAULT
    assert "property ApiPrefix" in adapter.proxy.Status()
    adapter.until("healthstate", FAILED)


def test_without_a_controller(start_adapter: Callable[..., Adapter]) -> None:
    adapter = start_adapter("tango://127.0.0.1:1/a/b/c#dbase=no")
    adapter.until("healthstate", DEGRADED)
    assert adapter.proxy.State() == ON
    with adapter.client as client:
        for path in ("/procedures", "/procedures/1", "/activities", "/events", "/history"):
            response = client.get(path)
            assert (response.status_code, response.json()["type"]) == (503, "OET_ControllerUnreachable")
        assert client.get("/stream").status_code == 503
        root = httpx.URL(adapter.proxy.url).join("/")
        assert client.get(root.join("/healthz")).status_code == 200
        assert client.get(root.join("/readyz")).status_code == 503


def probed(adapter: Adapter) -> tuple[int, str]:
    response = httpx.get(httpx.URL(adapter.proxy.url).join("/readyz"), timeout=DEADLINE)
    return response.status_code, response.json().get("Message", "")


def test_readiness_is_that_of_the_controller(adapter: Adapter, controller: tango.DeviceProxy) -> None:
    """While the controller is out of use it is not ready, which a listener hears and a probe is answered."""

    def until_told(events: Iterator[dict[str, str]], begin: str | None) -> None:
        while (event := next(events)).get("event") != "readiness" or not (
            str(json.loads(event["data"])["why_not_ready"]).startswith(str(begin))
        ):
            pass

    with adapter.client as client, client.stream("GET", "/stream") as stream:
        events = sent_events(stream)
        controller.adminMode = 1
        until_told(events, "the controller is in state DISABLE: adminMode is OFFLINE")
        assert probed(adapter) == (503, "the controller is in state DISABLE: adminMode is OFFLINE")
        with adapter.client as late, late.stream("GET", "/stream") as other:
            until_told(sent_events(other), "the controller is in state DISABLE")
        controller.adminMode = 0
        until_told(events, None)
        assert probed(adapter) == (200, "")


def test_a_controller_in_fault_is_not_ready_and_says_why(
    device_server: DeviceServers, start_adapter: Callable[..., Adapter]
) -> None:
    controller = device_server(*CONTROLLER, {"AbortScript": "http://x", "adminMode/__value": 0})
    adapter = start_adapter(name_of(controller))
    adapter.until("controllerstate", FAULT)
    adapter.until_not_ready("property AbortScript")


def test_nothing_is_left_of_an_adapter(adapter: Adapter, device_server: DeviceServers) -> None:
    url = adapter.proxy.url
    with adapter.client as client, client.stream("GET", "/stream"):
        adapter.until("streamclients", 1)
        adapter.proxy.Init()
        adapter.until("streamclients", 0)
        assert adapter.proxy.url != url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    with adapter.client as client, client.stream("GET", "/stream"):
        assert device_server.of(adapter.proxy).stop() == 0


def test_no_life_leaves_threads_or_descriptors(adapter: Adapter, device_server: DeviceServers) -> None:
    process = psutil.Process(device_server.of(adapter.proxy).process.pid)
    counts = []
    for _ in range(6):
        with adapter.client as client, client.stream("GET", "/stream"):
            adapter.until("streamclients", 1)
            assert client.get("/procedures").status_code == 200
        adapter.until("streamclients", 0)
        adapter.proxy.Off()
        adapter.until("url", "")
        adapter.until("state", OFF)
        counts.append((process.num_threads(), process.num_fds()))
        adapter.proxy.On()
        adapter.until("healthstate", OK)
    # The first life makes what Tango keeps for good, and its ORB adds a thread when it is busy; what each
    # life left would be there four times.
    assert counts[-1][0] <= counts[1][0] + 2, counts
    assert counts[-1][1] <= counts[1][1] + 2, counts


def test_a_token(
    controller: tango.DeviceProxy, start_adapter: Callable[..., Adapter], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    adapter = start_adapter(name_of(controller), TokenFile=str(token))
    adapter.until("healthstate", OK)
    with adapter.client as client:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            refused = client.get("/procedures", headers=header)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        headers = {"Authorization": "Bearer s3cret"}
        assert client.get("/procedures", headers=headers).status_code == 200
        assert client.get(httpx.URL(adapter.proxy.url).join("/healthz")).status_code == 200


def test_a_stop_that_does_not_say_so_aborts_what_main_was_called_of(adapter: Adapter) -> None:
    (adapter.folder / "abort.py").write_text("def init(subarray_id): pass\ndef main(): pass\n")
    lasting = "import time\ndef main(): time.sleep(600)\n"
    body = {"state": "STOPPED"}
    with adapter.client as client, client.stream("GET", "/stream") as stream:
        events = sent_events(stream)
        uri = created(client, adapter.script(lasting), subarray_id=1).headers["Location"]
        until_state(events, "procedure.lifecycle.ready")
        assert client.put(uri, json=body).json() == {"abort_message": "Successfully stopped script with ID 1"}
        # Nothing that could be aborted is named, and nobody has asked for an abort: that is no failure.
        uri = created(client, adapter.script(lasting)).headers["Location"]
        until_state(events, "procedure.lifecycle.ready")
        assert client.put(uri, json={"state": "RUNNING"}).status_code == 200
        answer = client.put(uri, json=body)
        assert (answer.status_code, "not aborted: not run" in answer.json()["abort_message"]) == (200, True)
        uri = created(client, adapter.script(lasting), subarray_id=1).headers["Location"]
        until_state(events, "procedure.lifecycle.ready")
        assert client.put(uri, json={"state": "RUNNING"}).status_code == 200
        stopped = client.put(uri, json=body).json()
        assert stopped == {
            "abort_message": "Successfully stopped script with ID 3 and aborted subarray activity "
        }
