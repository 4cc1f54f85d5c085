"""The sessions that the manual of the original prints run as they are printed.

What is answered in another way is so at `instead`, with the row of docs/reference/from-the-original.md.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ska_oso_oet.procedure.domain import ProcedureState
from tests.system.manual import Manual, instead, needs_curl, tables
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

ENDLESS: Final = """
import threading

def init(*args, subarray_id, **kwargs):
    pass

def main(*args, **kwargs):
    threading.Event().wait()
"""
SHORT: Final = """
def init(*args, **kwargs):
    pass

def main(*args, **kwargs):
    pass
"""
SBD: Final = Path(__file__).parents[1] / "data" / "sbd" / "mid.json"
FOR_GIT: Final = ["-c", "user.name=a", "-c", "user.email=a@b.c"]

LISTED: Final = ("ID", "Script", "Creation time", "State")
ACTIVITY: Final = ("ID", "Activity", "SB ID", "Creation Time", "Procedure ID", "State")
CALLS: Final = ("Method", "Arguments", "Keyword Arguments")

STATES: Final = "`oet procedure list`, `describe`"
GIVEN: Final = "arguments of `oet procedure create` and `start`"
MOMENT: Final = "`oet procedure create`, `POST /procedures`"
MORE: Final = "tables of `oet procedure` and `oet activity`"
URI: Final = "`oet procedure describe`, URI"
METHOD: Final = "`oet procedure describe`, Method"
STARTED: Final = "`PUT /procedures/<id>` with the state RUNNING"
RESOURCES: Final = "resources of the HTTP API"
OF_SB: Final = "`oet activity describe`, and `oet procedure describe` of its script"

LOADED: Final = [
    "CREATING",
    "IDLE",
    "LOADING",
    "IDLE",
    instead("RUNNING 1", "INITIALISING", STATES),
    "READY",
]
SOON: Final = {"CREATING", *instead((), {"PREP_ENV", *LOADED}, MOMENT)}
"""What a procedure may be when it has just been created."""
CREATIONS: Final = (
    "oet procedure create file://test.py 'hello' --verbose=true",
    "oet procedure create file://test2.py 'goodbye'",
    ('oet procedure create git://test3.py --git_repo="http://foo.git" --git_branch="test" --create_env=True'),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the sessions need: scripts, a repository and a Scheduling Block."""
    folder = tmp_path_factory.mktemp("manual")
    repository = folder / "foo.git"
    repository.mkdir()
    for path in ("test.py", "test2.py", "foo.git/test3.py", "observing_script.py"):
        (folder / path).write_text(ENDLESS)
    for path in ("allocate.py", "observe.py", "resource_allocation.py"):
        (folder / path).write_text(SHORT)
    for command in (
        ["init", "--quiet", "--initial-branch=test"],
        ["add", "."],
        [*FOR_GIT, "commit", "--quiet", "--message=a script"],
    ):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    arguments = {"init": {"args": [1, "foo"], "kwargs": {}}}
    document: dict[str, Any] = json.loads(SBD.read_text("utf-8")) | {"sbd_id": "sbd-123"}
    del document["metadata"]["version"]
    document["activities"] = {
        name: {
            "kind": "filesystem",
            "path": (folder / f"{name}.py").as_uri(),
            "function_args": arguments,
        }
        for name in ("allocate", "observe")
    }
    (folder / "sbd.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def manual(stack: StackProcess, client: OETClient, folder: Path) -> Manual:
    oet = Oet(stack.env, folder)
    places = {
        "file:///path/to": folder.as_uri(),
        "http://foo.git": (folder / "foo.git").as_uri(),
        "http://localhost:5000/api/v1.0": stack.rest_url,
    }
    places |= {f"file://{script.name}": script.as_uri() for script in folder.glob("*.py")}
    _, activities = oet.json("activity", "list")
    before = {
        "pid": max((procedure.id for procedure in client.list()), default=0),
        "aid": max((activity["id"] for activity in activities["activities"]), default=0),
    }
    return Manual(oet, places, before)


@pytest.fixture
def ready(manual: Manual, client: OETClient) -> Callable[[int], None]:
    return lambda number: _wait(client, manual.number("pid", number), ProcedureState.READY)


def _wait(client: OETClient, number: int, state: ProcedureState) -> None:
    assert client.wait(number, {state}, DEADLINE).state is state


# ------------------------------------------------------------------- procedures
def test_the_session_with_procedures(manual: Manual, client: OETClient, ready: Callable[[int], None]) -> None:
    scripts = {1: "file://test.py", 2: "file://test2.py", 3: "git://test3.py"}
    known = {number: (str(manual.number("pid", number)), manual.here(uri)) for number, uri in scripts.items()}

    def listed(line: str) -> list[tuple[str, ...]]:
        (table,) = manual(line)
        assert table.columns[:4] == LISTED
        assert table.columns[4:] == instead((), ("Subarray", "Progress", "Duration", "Requester"), MORE)
        return [row for row in table.of("ID", "Script", "State") if row[:2] in known.values()]

    for number, line in enumerate(CREATIONS, 1):
        (table,) = manual(line)
        assert table.columns == LISTED
        assert table.of("ID", "Script") == [known[number]]
        assert set(table.column("State")) <= SOON
        ready(number)
    assert listed("oet procedure list") == [(*known[number], "READY") for number in (1, 2, 3)]
    assert listed("oet procedure list --pid=2") == [(*known[2], "READY")]

    _, *start = manual.words("oet procedure start --pid=2 'bob' --simulate=false")
    with manual.oet.start(*start) as listening:
        _wait(client, manual.number("pid", 2), ProcedureState.RUNNING)
        states = {1: "READY", 2: "RUNNING", 3: "READY"}
        assert listed("oet procedure list") == [(*known[number], state) for number, state in states.items()]
        _describes_a_script_that_runs(manual)
        _describes_a_script_from_git(manual)
        client.stop(manual.number("pid", 2), run_abort=False, timeout=DEADLINE)
        first, *_ = tables(listening.communicate(timeout=DEADLINE)[0])
    assert (first.columns, first.of("ID", "Script", "State")) == (LISTED, [(*known[2], "RUNNING")])


def _describes_a_script_that_runs(manual: Manual) -> None:
    how, what, states, calls = manual("oet procedure describe --pid=2")
    assert how.columns == instead((), ("State", "Subarray", "Duration", "Requester"), MORE)
    _is_of(manual, 2, "file://test2.py", what.columns, what.rows)
    over_http = manual.oet.over_http(manual.here(API))
    shown = tables(over_http("procedure", "describe", manual.here("--pid=2")).stdout)
    assert shown[1].column("URI") == [manual.here(f"{API}/procedures/2")]
    assert [table.columns for table in shown] == [how.columns, what.columns, states.columns, calls.columns]
    assert (shown[2].rows, shown[3].rows) == (states.rows, calls.rows)
    assert states.columns == ("Time", "State")
    assert states.column("State") == [*LOADED, instead("RUNNING 2", "RUNNING", STATES)]
    assert calls.columns == ("Index", *CALLS)
    assert calls.rows == [
        ("1", "init", "['goodbye']", "{'subarray_id': 1}"),
        (
            "2",
            instead("run", "main", METHOD),
            "['bob']",
            instead("{'simulate': false}", "{'simulate': False}", GIVEN),
        ),
    ]


def _describes_a_script_from_git(manual: Manual) -> None:
    _, what, states, calls, repository = manual("oet procedure describe --pid=3")
    _is_of(manual, 3, "git://test3.py", what.columns, what.rows)
    created, *rest = LOADED
    prepared = instead((), ("IDLE", "PREP_ENV"), STATES)
    assert states.column("State") == [created, *prepared, *rest]
    assert calls.rows == [("1", "init", "[]", "{'subarray_id': 1}"), ("2", "main", "[]", "{}")]
    assert repository.columns == ("Repository", "Branch", "Commit")
    ((place, branch, commit),) = repository.rows
    assert (place, branch) == (manual.here("http://foo.git"), "test")
    assert len(commit) == instead(0, 40, MORE)


def _is_of(
    manual: Manual, number: int, script: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    """Check which procedure is described, over Tango."""
    assert columns == ("ID", "Script", "URI")
    ((identifier, uri, place),) = rows
    assert (identifier, uri) == (str(manual.number("pid", number)), manual.here(script))
    assert place.startswith(instead("http://", "tango://", URI))
    assert place.endswith(manual.here(f"/procedures/{number}"))


# ------------------------------------------------------------------- activities
def test_the_session_with_activities(manual: Manual, folder: Path) -> None:
    assert manual.oet("sbd", "add", str(folder / "sbd.json")).returncode == 0
    activities = {
        number: (str(manual.number("--aid=", number)), name, "sbd-123", str(manual.number("pid", number)))
        for number, name in ((1, "allocate"), (2, "observe"))
    }
    named = ("ID", "Activity", "SB ID", "Procedure ID")
    for number, (line, end) in enumerate(
        (
            (
                """oet activity run allocate sbd-123 --script-args='{"init": {"kwargs": {"foo": "bar"}}}'""",
                "COMPLETE",
            ),
            ("oet activity run observe sbd-123 --prepare-only=True", "PREPARED"),
        ),
        1,
    ):
        first, last = manual(line)
        assert first.columns == last.columns == ACTIVITY
        assert first.of("ID", "Activity", "SB ID") == [activities[number][:3]]
        assert set(first.column("State")) <= {
            "REQUESTED",
            *instead((), {"PREPARED", "RUNNING", end}, "`oet activity run`"),
        }
        assert last.of(*named, "State") == [(*activities[number], end)]

    (table,) = manual("oet activity list")
    assert table.columns == ACTIVITY
    assert table.of(*named, "State")[-2:] == [(*activities[1], "COMPLETE"), (*activities[2], "PREPARED")]

    first, last = manual("oet procedure start --pid=2")
    assert first.columns == LISTED
    assert first.of("ID", "Script") == [(activities[2][3], manual.here("file://observe.py"))]
    assert set(first.column("State")) <= {"RUNNING", "COMPLETE"}  # this one ends at once
    assert last.column("State") == ["COMPLETE"]

    _describes_an_activity(manual, activities[1])
    _, what, states, calls = manual("oet procedure describe --pid=1")
    _is_of(manual, 1, "file://allocate.py", what.columns, what.rows)
    assert states.column("State") == [
        *LOADED,
        instead("RUNNING 2", "RUNNING", STATES),
        instead("READY", "COMPLETE", STATES),
    ]
    assert calls.of("Index", "Method") == [("1", "init"), ("2", "main")]
    assert calls.rows[0][2:] == ("[1, 'foo']", "{'foo': 'bar'}")
    _is_given_the_scheduling_block(calls.rows[1][2:])


def _describes_an_activity(manual: Manual, activity: tuple[str, str, str, str]) -> None:
    how, what, place, block, states, calls = manual("oet activity describe --aid=1")
    assert how.columns == instead((), ("State", "Requester"), MORE)
    assert what.columns == ("ID", "Activity", "SB ID", "Procedure ID", "State")
    assert what.rows == [(*activity, "COMPLETE")]
    assert place.columns == ("URI", "Prepare Only")
    ((uri, prepare_only),) = place.rows
    assert uri.startswith(instead("http://", "tango://", URI))
    assert uri.endswith(f"/activities/{activity[0]}")
    assert prepare_only == "False"
    assert block.columns == instead((), ("SB Version", "SB Instance"), MORE)
    assert states.columns == ("Time", "State")
    assert states.column("State") == ["REQUESTED", "PREPARED", "RUNNING", "COMPLETE"]
    assert calls.columns == CALLS
    assert calls.rows[0] == ("init", "[1, 'foo']", "{'foo': 'bar'}")
    _is_given_the_scheduling_block(calls.rows[1][1:])


def _is_given_the_scheduling_block(arguments: tuple[str, ...]) -> None:
    positional, keywords = arguments
    assert positional == "[]"
    assert keywords.startswith(instead("{}", "{'sb_json': '", OF_SB))
    assert "'sbi_id': 'sbi-" in keywords


# ------------------------------------------------------------------------- HTTP
JSON: Final = '-H "Content-Type: application/json"'
API: Final = "http://localhost:5000/api/v1.0"


def _resource(manual: Manual, number: int, script: str, **arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the manual prints of a procedure, but for its history and its state."""
    nothing: dict[str, Any] = {"args": [], "kwargs": {}}
    calls = {name: nothing | {"kwargs": arguments.get(name, {})} for name in ("init", "run")}
    return {
        "script_args": calls,
        "script": {"script_type": "filesystem", "script_uri": manual.here(f"file:///path/to/{script}")},
        "uri": manual.here(f"{API}/procedures/{number}"),
    }


def _matches(answer: dict[str, Any], printed: dict[str, Any], *states: str) -> bool:
    """Check a resource, which may have more than is printed, and which states it has passed through."""
    history = answer["history"]
    passed = [state for state, _ in instead((), history["process_states"], RESOURCES)]
    shown = {key: answer[key] for key in printed}
    return (shown, passed, history["stacktrace"]) == (printed, [*LOADED, *states], None)


@needs_curl
def test_the_sessions_with_curl(manual: Manual, ready: Callable[[int], None]) -> None:
    wait = instead("", "?wait=10", MOMENT)
    dishes = {"dishes": [1, 2, 3]}
    body = {
        "script_uri": "file:///path/to/resource_allocation.py",
        "script_args": {"init": {"kwargs": dishes}},
    }
    status, kind, answer = manual.curl(
        f"curl -i {JSON} -X POST -d '{json.dumps(body)}' {API}/procedures{wait}"
    )
    assert (status, kind) == (201, "application/json")
    first = _resource(manual, 1, "resource_allocation.py", init=dishes)
    assert _matches(answer["procedure"], first | {"state": "READY"})

    status, _, answer = manual.curl(
        f"curl -i {JSON} -X POST -d "
        '\'{"script_uri": "file:///path/to/observing_script.py", "script_args": {"init": {"kwargs":'
        ' {"subarray_id": 1, "sb_uri": "file:///path/to/scheduling_block_123.json"} } }}\''
        f" {API}/procedures"
    )
    block = {"subarray_id": 1, "sb_uri": manual.here("file:///path/to/scheduling_block_123.json")}
    second = _resource(manual, 2, "observing_script.py", init=block)
    assert (status, {key: answer["procedure"][key] for key in second}) == (201, second)
    assert answer["procedure"]["state"] in SOON
    ready(2)

    status, kind, answer = manual.curl(f"curl -i {API}/procedures")
    assert (status, kind) == (200, "application/json")
    for resource, printed in zip(answer["procedures"][-2:], (first, second), strict=True):
        assert _matches(resource, printed | {"state": "READY"})
    status, _, answer = manual.curl(f"curl -i {API}/procedures/1")
    assert status == 200
    assert _matches(answer["procedure"], first | {"state": "READY"})

    status, _, answer = manual.curl(
        f"curl -i {JSON} -X PUT -d "
        '\'{"script_args": {"run": {"kwargs": {"scan_duration": 14.0}}}, "state": "RUNNING"}\''
        f" {API}/procedures/2"
    )
    started = _resource(manual, 2, "observing_script.py", init=block, run={"scan_duration": 14.0})
    assert status == 200
    running = instead("READY", "RUNNING", STARTED)
    assert _matches(answer["procedure"], started | {"state": running}, running)


@needs_curl
def test_a_procedure_that_is_not_there(manual: Manual) -> None:
    status, kind, answer = manual.curl(f"curl -i {API}/procedures/4")
    assert (status, kind) == (404, "application/json")
    assert answer == {
        "error": "404 Not Found",
        "type": "ResourceNotFound",
        "Message": f"No information available for PID={manual.number('pid', 4)}",
    }


@pytest.fixture
def listening(manual: Manual) -> Iterator[subprocess.Popen[str]]:
    argv = [*manual.words(f"curl -i {API}/stream"), "-sS", "-N"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@needs_curl
def test_the_session_with_the_stream(manual: Manual, listening: subprocess.Popen[str]) -> None:
    assert listening.stdout is not None
    lines = (line.strip() for line in listening.stdout if not line.startswith(":"))
    head = list(iter(lambda: next(lines), ""))
    assert head[0].split()[1] == "200"
    assert "content-type: text/event-stream; charset=utf-8" in head
    manual("oet procedure create file://test.py")
    told: list[str] = []
    while told[-1:] != ["procedure.lifecycle.created"]:
        data = next(filter(None, lines))
        identifier, end = next(lines), next(lines)
        assert (data.partition(":")[0], identifier.partition(":")[0], end) == ("data", "id", "")
        assert identifier.count(":") == instead(1, 2, "`GET /stream`")
        event = json.loads(data.removeprefix("data:"))
        assert {"msg_src", "topic"} <= set(event)
        told.append(event["topic"])
    assert told[0] == "request.procedure.create"
