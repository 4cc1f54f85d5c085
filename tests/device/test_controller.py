"""OETController as a Tango client sees it: the JSON contract, change events and errors."""

from __future__ import annotations

import json
import os
import queue
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import tango

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.device.conftest import DeviceServers

CONTROLLER = "ska_oso_oet.device.controller", "OETController"
DEADLINE = 60.0

SCRIPT = """
import time
from pubsub import pub

def init(subarray_id=None):
    pass

def main(name="world", wait=0.0, fail=None):
    print(f"hello {name}", flush=True)
    pub.sendMessage("user.script.announce", msg_src="greeter", msg=f"hello {name}")
    pub.sendMessage("procedure.progress", msg_src="greeter", progress=50, message="half way")
    time.sleep(wait)
    if fail:
        raise ValueError(fail)
"""


class Controller:
    """A running controller, with a queue of what it says of procedures."""

    def __init__(self, proxy: tango.DeviceProxy, folder: Path) -> None:
        self.proxy = proxy
        self.folder = folder
        self.changes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.results: queue.Queue[list[str]] = queue.Queue()
        self._subscribe("procedureChanged", lambda value: self.changes.put(json.loads(value)))
        self._subscribe("event", lambda value: self.events.put(json.loads(value)))
        self._subscribe("longRunningCommandResult", lambda value: self.results.put(list(value)))

    def _subscribe(self, name: str, take: Callable[[Any], None]) -> None:
        def on_event(event: tango.EventData) -> None:
            if not event.err:
                take(event.attr_value.value)

        self.proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, on_event)

    def script(self, source: str = SCRIPT, name: str = "script.py") -> str:
        path = self.folder / name
        path.write_text(source)
        return path.as_uri()

    def command(self, name: str, **argument: Any) -> tuple[int, str]:
        [[code], [text]] = self.proxy.command_inout(name, json.dumps(argument))
        return int(code), text

    def create(self, uri: str, **kwargs: Any) -> tuple[int, str]:
        """Answer the id of a new procedure and the id of the command that made it."""
        code, command_id = self.command(
            "CreateProcedure",
            script={"script_type": "filesystem", "script_uri": uri},
            script_args={"init": {"kwargs": kwargs}},
        )
        assert code == 1, command_id
        listed = json.loads(self.proxy.procedures)["procedures"]
        return next(p["id"] for p in listed if p["command_id"] == command_id), command_id

    def until(self, procedure_id: int, *states: str) -> dict[str, Any]:
        while True:
            change = self.changes.get(timeout=DEADLINE)
            procedure: dict[str, Any] = change.get("procedure", {})
            if procedure.get("id") == procedure_id and procedure["state"] in states:
                return procedure

    def result_of(self, command_id: str) -> tuple[int, dict[str, Any]]:
        while True:
            identifier, text = self.results.get(timeout=DEADLINE)
            if identifier == command_id:
                code, content = json.loads(text)
                return code, json.loads(content)


@pytest.fixture
def controller(
    device_server: DeviceServers, tmp_path: Path, event_channel: Callable[[tango.DeviceProxy], None]
) -> Controller:
    properties = {
        "ScriptRoots": str(tmp_path),
        "adminMode/__value": 0,
        "EnvironmentsDir": str(tmp_path / "environments"),
        "EmbeddedScripts": "allowed",
        "AbortScript": (tmp_path / "abort.py").as_uri(),
    }
    proxy = device_server(*CONTROLLER, properties)
    running = Controller(proxy, tmp_path)
    event_channel(proxy)
    return running


def test_a_procedure_from_creation_to_its_end(controller: Controller) -> None:
    pid, create_id = controller.create(controller.script(), subarray_id=1)
    ready = controller.until(pid, "READY")
    assert [state for state, _ in ready["history"]["process_states"]] == [
        *("CREATING", "IDLE", "LOADING", "IDLE", "INITIALISING", "READY")
    ]
    assert controller.result_of(create_id) == (0, {"procedure_id": pid, "state": "READY"})

    code, start_id = controller.command(
        "StartProcedure", procedure_id=pid, script_args={"main": {"kwargs": {"name": "Karoo"}}}
    )
    assert code == 1
    complete = controller.until(pid, "COMPLETE")
    assert complete["exit"] == {
        "cause": "returned",
        "code": 0,
        "signal": None,
        "stopped_by": None,
        "message": None,
    }
    assert complete["script_args"]["main"] == {"args": [], "kwargs": {"name": "Karoo"}}
    assert complete["progress"] == {"percent": 50.0, "message": "half way"}
    assert complete["requester"].endswith(f"pid {os.getpid()}")
    assert controller.result_of(start_id) == (0, {"procedure_id": pid, "state": "COMPLETE"})
    assert controller.proxy.CheckLongRunningCommandStatus(start_id) == "COMPLETED"
    output = json.loads(controller.proxy.GetOutput(json.dumps({"procedure_id": pid})))
    assert [line["text"] for line in output["lines"]] == ["hello Karoo"]


def test_two_procedures_take_different_scan_ids(controller: Controller) -> None:
    source = "from ska_oso_oet.tango import scan_id_generator\ndef main(): print(scan_id_generator().next())"
    taken = []
    for _ in range(2):
        pid, _ = controller.create(controller.script(source))
        controller.until(pid, "READY")
        controller.command("StartProcedure", procedure_id=pid)
        controller.until(pid, "COMPLETE")
        output = json.loads(controller.proxy.GetOutput(json.dumps({"procedure_id": pid})))
        taken.append(int(output["lines"][0]["text"]))
    assert taken[1] == taken[0] + 1


def test_events_are_numbered_without_a_gap_and_can_be_read_again(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    controller.command("StartProcedure")
    controller.until(pid, "COMPLETE")
    replayed = json.loads(controller.proxy.GetEvents('{"since": 0}'))
    assert [event["seq"] for event in replayed["events"]] == list(range(1, replayed["last_seq"] + 1))
    assert replayed["gap"] is False
    topics = [event["topic"] for event in replayed["events"]]
    assert "user.script.announce" in topics
    assert topics.index("procedure.lifecycle.ready") < topics.index("procedure.lifecycle.complete")
    pushed: list[dict[str, Any]] = []
    with suppress(queue.Empty):
        while not pushed or pushed[-1]["seq"] < replayed["last_seq"]:
            event = controller.events.get(timeout=DEADLINE)
            if event and event not in pushed[-1:]:  # the newest comes once more after a silence
                pushed.append(event)
    assert pushed == replayed["events"]
    assert controller.proxy.lastEventSeq == replayed["last_seq"]
    one = json.loads(
        controller.proxy.GetEvents('{"since": 3, "limit": 1, "topics": ["procedure.lifecycle"]}')
    )
    assert [event["topic"] for event in one["events"]] == ["procedure.lifecycle.statechange"]


def test_a_request_that_is_too_large_is_refused_whatever_it_asks_for(
    device_server: DeviceServers, tmp_path: Path
) -> None:
    properties = {"ScriptRoots": str(tmp_path), "adminMode/__value": 0, "MaxRequestBytes": 10_000}
    proxy = device_server(*CONTROLLER, properties)
    argument = json.dumps({"script_args": {"main": {"args": ["x" * 10_000]}}})
    said = f"it has {len(argument)} bytes, and at most 10000 are taken (MaxRequestBytes)"
    for name in ("CreateProcedure", "StartProcedure", "StopProcedure", "RunActivity", "PruneHistory"):
        [[code], [text]] = proxy.command_inout(name, argument)
        assert code == 5
        assert said in text
    for name in ("GetEvents", "GetOutput", "GetHistory"):
        with pytest.raises(tango.DevFailed) as refusal:
            proxy.command_inout(name, argument)
        assert refusal.value.args[0].reason == "OET_Rejected"
        assert said in refusal.value.args[0].desc
    assert json.loads(proxy.procedures)["procedures"] == []


def test_the_newest_event_is_pushed_once_more_after_a_silence(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    newest = json.loads(controller.proxy.GetEvents('{"since": 0}'))["events"][-1]
    times = 0
    while times < 2:
        times += controller.events.get(timeout=DEADLINE) == newest
    with pytest.raises(queue.Empty):
        controller.events.get(timeout=2.0)


def test_a_script_that_raises_fails_with_its_own_traceback(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    _, start_id = controller.command(
        "StartProcedure", script_args={"run": {"kwargs": {"fail": "no such dish"}}}
    )
    failed = controller.until(pid, "FAILED")
    assert failed["history"]["stacktrace"].startswith("Traceback (most recent call last):\n  File")
    assert "raise ValueError(fail)\nValueError: no such dish\n" in failed["history"]["stacktrace"]
    assert "worker.py" not in failed["history"]["stacktrace"]
    assert controller.result_of(start_id) == (
        3,
        {"procedure_id": pid, "state": "FAILED", "message": "ValueError: no such dish"},
    )
    described = json.loads(controller.proxy.DescribeProcedure(0))
    assert described == failed


def test_a_stop_ends_the_process_and_then_says_so(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    _, start_id = controller.command("StartProcedure", script_args={"main": {"kwargs": {"wait": 60}}})
    controller.until(pid, "RUNNING")
    assert list(controller.proxy.runningProcedures) == [pid]
    code, stop_id = controller.command("StopProcedure", run_abort=False)
    assert code == 1
    stopped = controller.until(pid, "STOPPED")
    assert stopped["exit"]["stopped_by"] == "SIGTERM"
    assert controller.result_of(start_id) == (7, {"procedure_id": pid, "state": "STOPPED"})
    assert controller.result_of(stop_id) == (0, {"procedure_id": pid, "state": "STOPPED"})
    assert list(controller.proxy.runningProcedures) == []


def test_a_stop_of_what_has_not_called_main_aborts_nothing(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    _, stop_id = controller.command("StopProcedure", procedure_id=pid)
    assert controller.result_of(stop_id) == (0, {"procedure_id": pid, "state": "STOPPED"})


def test_a_stop_aborts_every_subarray_that_a_script_commands(controller: Controller) -> None:
    controller.script("def init(subarray_id): print(subarray_id)\ndef main(): pass\n", "abort.py")
    several = "import time\ndef main(subarray_ids, wait): time.sleep(wait)\n"
    pid, _ = controller.create(controller.script(several))
    controller.until(pid, "READY")
    main = {"kwargs": {"subarray_ids": [2, 5], "wait": 60}}
    controller.command("StartProcedure", script_args={"main": main})
    assert controller.until(pid, "RUNNING")["subarray_ids"] == [2, 5]
    _, stop_id = controller.command("StopProcedure")
    _, content = controller.result_of(stop_id)
    aborts = [(each["subarray_id"], each["state"]) for each in content["abort"]["subarrays"]]
    assert aborts == [(2, "COMPLETE"), (5, "COMPLETE")]


def test_the_newest_of_who_asks(controller: Controller) -> None:
    with pytest.raises(tango.DevFailed) as caught:
        controller.proxy.DescribeProcedure(-1)
    assert caught.value.args[0].reason == "OET_NotFound"
    pid, _ = controller.create(controller.script(), subarray_id=1)
    described = json.loads(controller.proxy.DescribeProcedure(-1))
    assert described["id"] == pid
    assert described["requester"].endswith(f"pid {os.getpid()}")


def test_a_stop_with_abort_runs_the_abort_script_for_the_subarray(controller: Controller) -> None:
    controller.script(
        "def init(subarray_id):\n    global S\n    S = subarray_id\n\ndef main():\n    print('abort', S)\n",
        "abort.py",
    )
    pid, _ = controller.create(controller.script(), subarray_id=7)
    controller.until(pid, "READY")
    controller.command("StartProcedure", script_args={"main": {"kwargs": {"wait": 60}}})
    controller.until(pid, "RUNNING")
    _, stop_id = controller.command("StopProcedure")
    code, content = controller.result_of(stop_id)
    assert (code, content["state"]) == (0, "STOPPED")
    assert content["abort"]["state"] == "COMPLETE"
    abort = json.loads(controller.proxy.DescribeProcedure(content["abort"]["procedure_id"]))
    assert abort["subarray_id"] == 7
    output = json.loads(controller.proxy.GetOutput(json.dumps({"procedure_id": abort["id"]})))
    assert [line["text"] for line in output["lines"]] == ["abort 7"]


def test_a_stop_says_why_its_subarray_was_not_aborted(controller: Controller) -> None:
    controller.script("def main(:\n", "abort.py")
    for kwargs, expected in (({}, "has no subarray_id"), ({"subarray_id": 7}, "SyntaxError")):
        pid, _ = controller.create(controller.script(), **kwargs)
        controller.until(pid, "READY")
        _, stop_id = controller.command("StopProcedure", procedure_id=pid, run_abort=True)
        code, content = controller.result_of(stop_id)
        assert (code, content["state"]) == (0, "STOPPED")
        assert content["abort"]["state"] != "COMPLETE"
        assert expected in content["abort"]["message"]


def test_abort_stops_what_long_running_commands_run(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    _, start_id = controller.command("StartProcedure", script_args={"main": {"kwargs": {"wait": 60}}})
    controller.until(pid, "RUNNING")
    [[code], [_]] = controller.proxy.Abort()
    assert code == 1
    controller.until(pid, "STOPPED")
    assert controller.result_of(start_id)[0] == 7


def test_embedded_source_runs_and_shows_its_lines_when_it_fails(controller: Controller) -> None:
    code, _ = controller.command(
        "CreateProcedure",
        script={
            "script_type": "embedded",
            "script_source": "def main():\n    assert False, 'embedded'\n",
            "script_name": "quick look",
        },
    )
    assert code == 1
    controller.until(1, "READY")
    controller.command("StartProcedure")
    failed = controller.until(1, "FAILED")
    assert 'File "<quick look>", line 2, in main\n    assert False' in failed["history"]["stacktrace"]


MALFORMED = [
    ("CreateProcedure", "{", "Invalid JSON"),
    ("CreateProcedure", "[1]", "should be an object"),
    ("CreateProcedure", "{}", "script: Field required"),
    ("CreateProcedure", '{"script": {"script_uri": "file:///x.py"}}', "script_type"),
    ("CreateProcedure", '{"script": {"script_type": "tape", "script_uri": "x"}}', "'tape'"),
    ("CreateProcedure", '{"script": {"script_type": "filesystem", "script_uri": "x.py"}}', "file://"),
    (
        "CreateProcedure",
        '{"script": {"script_type": "filesystem", "script_uri": "file:///x.py"}, "colour": 1}',
        "colour: Extra inputs",
    ),
    (
        "CreateProcedure",
        '{"script": {"script_type": "embedded", "script_source": ""}, "script_args": {"init": {"args": 5}}}',
        "script_args.init.args",
    ),
    ("StartProcedure", '{"script_args": {"main": {"args": [NaN]}}}', "not JSON compliant"),
    ("StartProcedure", '{"procedure_id": "2"}', "procedure_id"),
    ("StartProcedure", '{"procedure_id": 0}', "procedure_id"),
    ("StartProcedure", '{"script_args": {"init": {}}}', "script_args.init: Extra inputs"),
    ("StopProcedure", '{"run_abort": "yes"}', "run_abort"),
    (
        "RunActivity",
        '{"activity_name": "a", "sbd_id": "b", "script_args": {"init": {"kwargs": {"subarray_id": true}}}}',
        "script_args.init.kwargs.subarray_id: Input should be a valid integer",
    ),
    ("StopProcedure", "nonsense \u20ac", "Invalid JSON"),
]


def test_a_malformed_request_is_refused_and_names_what_is_wrong(controller: Controller) -> None:
    for command, argument, expected in MALFORMED:
        with pytest.raises(tango.DevFailed) as caught:
            controller.proxy.command_inout(command, argument.encode("ascii", "backslashreplace").decode())
        assert caught.value.args[0].reason == "OET_InvalidArgument"
        assert expected in caught.value.args[0].desc, argument
    assert json.loads(controller.proxy.procedures)["procedures"] == []
    assert list(controller.proxy.lrcFinished) == []


def test_what_cannot_be_done_now_is_rejected_and_changes_nothing(controller: Controller) -> None:
    assert controller.command("StartProcedure") == (5, "no procedure has been created")
    assert controller.command("StopProcedure") == (5, "no procedure is RUNNING")
    assert controller.command("StartProcedure", procedure_id=99) == (5, "there is no procedure 99")
    outside = {"script_type": "filesystem", "script_uri": "file:///etc/passwd"}
    code, text = controller.command("CreateProcedure", script=outside)
    assert (code, text[:39]) == (5, "/etc/passwd is outside the directories ")
    (controller.folder / "link.py").symlink_to("/etc/passwd")
    for path in (controller.folder / "link.py", controller.folder / ".." / "x.py"):
        code, _ = controller.command(
            "CreateProcedure", script={"script_type": "filesystem", "script_uri": f"file://{path}"}
        )
        assert code == 5
    git = {
        "script_type": "git",
        "script_uri": "git:///x.py",
        "git_args": {"git_repo": "https://evil.example/x"},
    }
    code, text = controller.command("CreateProcedure", script=git)
    assert code == 5
    assert "https://evil.example/x is not allowed" in text
    assert json.loads(controller.proxy.procedures)["procedures"] == []

    pid, _ = controller.create(controller.script("import time\ntime.sleep(60)\n", "slow.py"), subarray_id=1)
    controller.until(pid, "LOADING")
    assert controller.command("StartProcedure", procedure_id=pid) == (
        5,
        f"procedure {pid} is LOADING, not READY",
    )
    controller.command("StopProcedure", procedure_id=pid)
    controller.until(pid, "STOPPED")
    assert controller.command("StopProcedure", procedure_id=pid) == (
        5,
        f"procedure {pid} has ended already: it is STOPPED",
    )


def test_a_busy_subarray_is_refused_and_its_holder_named(controller: Controller) -> None:
    uri = controller.script()
    pids = []
    for subarray in (1, 1, 2):
        pid, _ = controller.create(uri, subarray_id=subarray)
        controller.until(pid, "READY")
        pids.append(pid)
    one, same, other = pids
    wait = {"main": {"kwargs": {"wait": 60}}}
    assert controller.command("StartProcedure", procedure_id=one, script_args=wait)[0] == 1
    assert controller.command("StartProcedure", procedure_id=same) == (
        5,
        f"procedure {same} cannot start: procedure {one}, which is RUNNING, holds subarray 1",
    )
    assert controller.command("StartProcedure", procedure_id=other, script_args=wait)[0] == 1
    code, text = controller.command("StopProcedure")
    assert code == 5
    assert f"procedures {one} and {other} are RUNNING" in text


def test_a_script_that_is_not_there_makes_no_procedure(controller: Controller) -> None:
    missing = {"script_type": "filesystem", "script_uri": (controller.folder / "missing.py").as_uri()}
    code, text = controller.command("CreateProcedure", script=missing)
    assert (code, text) == (5, f"there is no script {controller.folder / 'missing.py'}")
    assert json.loads(controller.proxy.procedures)["procedures"] == []


def test_scripts_that_cannot_be_loaded_fail_and_say_why(controller: Controller) -> None:
    broken: dict[str, tuple[str | None, str]] = {
        "syntax.py": ("def main(:\n", "SyntaxError"),
        "imports.py": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        "no_main.py": ("x = 1\n", "has no function main"),
        "top.py": ("1 / 0\n", "ZeroDivisionError"),
        "bad_init.py": (
            "def init():\n    pass\ndef main():\n    pass\n",
            "TypeError: init() got an unexpected",
        ),
    }
    (controller.folder / "directory.py").mkdir()
    broken["directory.py"] = (None, "is no file")
    for name, (source, expected) in broken.items():
        uri = (controller.folder / name).as_uri() if source is None else controller.script(source, name)
        pid, create_id = controller.create(uri, subarray_id=1)
        controller.until(pid, "FAILED")
        code, content = controller.result_of(create_id)
        assert code == 3
        assert expected in content["message"], name
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")


def test_unknown_ids_and_commands_are_not_found(controller: Controller) -> None:
    for command, argument in (
        ("DescribeProcedure", 42),
        ("DescribeProcedure", 0),
        ("GetOutput", '{"procedure_id": 42}'),
        ("GetCommandSchema", "Dance"),
    ):
        with pytest.raises(tango.DevFailed) as caught:
            controller.proxy.command_inout(command, argument)
        assert caught.value.args[0].reason == "OET_NotFound"
    schema = json.loads(controller.proxy.GetCommandSchema("StartProcedure"))
    assert set(schema["properties"]) == {"procedure_id", "script_args", "force_start"}


def test_what_sets_something_going_needs_the_device_to_be_on_and_a_stop_does_not(
    controller: Controller,
) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    controller.proxy.adminMode = 1
    assert controller.proxy.state() == tango.DevState.DISABLE
    for command in ("CreateProcedure", "StartProcedure", "RunActivity"):
        with pytest.raises(tango.DevFailed) as caught:
            controller.proxy.command_inout(command, "{}")
        assert caught.value.args[0].reason == "API_CommandNotAllowed"
        why = "the controller is in state DISABLE: adminMode is OFFLINE"
        assert caught.value.args[0].desc == f"{command} is not allowed: {why}"
    assert controller.command("StopProcedure", procedure_id=pid)[0] == 1
    controller.until(pid, "STOPPED")
    controller.proxy.adminMode = 2
    refused = f"procedure {pid}, which was created last, is STOPPED, not READY"
    assert controller.command("StartProcedure") == (5, refused)


def test_a_stop_is_taken_when_the_device_takes_no_more_commands(controller: Controller) -> None:
    uri = controller.script("import time\ndef init():\n    time.sleep(60)\ndef main():\n    pass\n")
    pids = [controller.create(uri)[0] for _ in range(32)]
    code, text = controller.command(
        "CreateProcedure", script={"script_type": "filesystem", "script_uri": uri}
    )
    assert code == 5
    assert "maximum of 32" in text
    for pid in pids:
        assert controller.command("StopProcedure", procedure_id=pid)[0] == 1
    waiting = set(pids)
    while waiting:
        change = controller.changes.get(timeout=DEADLINE)
        if change.get("procedure", {}).get("state") == "STOPPED":
            waiting.discard(change["procedure"]["id"])


def test_no_stop_is_refused_however_many_wait_for_an_abort(controller: Controller) -> None:
    controller.script("import time\ndef main(): time.sleep(600)\n", "abort.py")
    deaf = (
        "import signal\ndef main(): pass\n"
        "def init(subarray_id): signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    )
    first, _ = controller.create(controller.script(deaf, "deaf.py"), subarray_id=1)
    controller.until(first, "READY")
    second, _ = controller.create(controller.script(), subarray_id=2)
    controller.until(second, "READY")
    answers = [controller.command("StopProcedure", procedure_id=first, run_abort=True) for _ in range(100)]
    code, command_id = answers[0]
    assert code == 1
    # On a slow machine the last ones come after the end.
    assert {answer for answer in answers if "has ended already" not in answer[1]} == {(1, command_id)}
    assert controller.until(first, "STOPPED")["exit"]["stopped_by"] == "SIGKILL"
    assert controller.command("StopProcedure", procedure_id=second)[0] == 1
    controller.until(second, "STOPPED")
    # The end of the server would wait for the abort.
    assert controller.command("StopProcedure", procedure_id=second + 1)[0] == 1
    controller.until(second + 1, "STOPPED")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Exclusivity", "telescope"),
        ("StopGracePeriod", "-1"),
        ("ScriptRoots", "relative/path"),
        ("EmbeddedScripts", "sometimes"),
        ("HistoryLength", "-5"),
        ("AbortScript", "abort.py"),
    ],
)
def test_a_bad_property_is_a_fault_that_names_it(device_server: DeviceServers, name: str, value: str) -> None:
    proxy = device_server(*CONTROLLER, {name: value, "adminMode/__value": 0})
    assert proxy.state() == tango.DevState.FAULT
    assert f"property {name}" in proxy.status()
    with pytest.raises(tango.DevFailed):
        proxy.CreateProcedure("{}")


def test_init_starts_afresh(controller: Controller) -> None:
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    before = json.loads(controller.proxy.procedures)
    controller.proxy.Init()
    after = json.loads(controller.proxy.procedures)
    assert after["epoch"] != before["epoch"]
    # What was live has been stopped, and is listed among what ended last.
    assert [(each["id"], each["state"]) for each in after["procedures"]] == [(pid, "STOPPED")]


def test_a_stop_that_an_init_has_waited_for_has_its_own_result(controller: Controller) -> None:
    controller.script("import time\ndef init(subarray_id): pass\ndef main(): time.sleep(1)\n", "abort.py")
    pid, _ = controller.create(controller.script(), subarray_id=1)
    controller.until(pid, "READY")
    wait = {"main": {"kwargs": {"wait": 60}}}
    _, start_id = controller.command("StartProcedure", procedure_id=pid, script_args=wait)
    controller.until(pid, "RUNNING")
    _, stop_id = controller.command("StopProcedure", procedure_id=pid, run_abort=True)
    controller.proxy.Init()
    assert controller.result_of(start_id) == (7, {"procedure_id": pid, "state": "STOPPED"})
    code, content = controller.result_of(stop_id)
    assert (code, content["state"], content["abort"]["state"]) == (0, "STOPPED", "COMPLETE")
