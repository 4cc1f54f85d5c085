"""The `oet` command as its users run it: a program of its own, against a running stack."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import tango

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.errors import Rejected
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.stack_process import StackProcess

GOOD = """
def init(subarray_id, colour="grey"):
    print("init", subarray_id, colour)

def main(*args, **kwargs):
    print("main", args, kwargs)
"""
FAILING = """
def main():
    raise ValueError("the dish is [red]not[/red] there")
"""
ENDLESS = """
import time
def main():
    print("started")
    while True:
        time.sleep(0.05)
"""

SEVERAL = """
def main(subarray_ids):
    print(subarray_ids)
"""
PATIENT = """
import time
from pathlib import Path
def init(path):
    while not Path(path).exists():
        time.sleep(0.05)
def main():
    print("patience has an end")
"""


STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def main():
    time.sleep(600)
"""
POLITE = """
import signal, threading
done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
def main():
    while not done.wait(0.05):
        pass
"""


@pytest.fixture
def oet(stack: StackProcess, client: OETClient, tmp_path: Path) -> Oet:
    return _oet(stack, tmp_path)


def _oet(stack: StackProcess, folder: Path) -> Oet:
    return Oet(
        stack.env,
        folder,
        good=GOOD,
        failing=FAILING,
        endless=ENDLESS,
        stubborn=STUBBORN,
        polite=POLITE,
        patient=PATIENT,
        several=SEVERAL,
        unloadable="1 / 0",
    )


def _squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


# -------------------------------------------------------------------- outcomes
def test_a_script_that_completes(oet: Oet) -> None:
    code, document = oet.json(
        "procedure", "run", oet.uris["good"], "1", "two", "--x=[1, 2]", "--init.colour=red"
    )
    procedure = document["procedure"]
    assert (code, procedure["state"]) == (0, "COMPLETE")
    assert procedure["script_args"] == {
        "init": {"args": [], "kwargs": {"colour": "red", "subarray_id": 1}},
        "main": {"args": [1, "two"], "kwargs": {"x": [1, 2]}},
    }


def test_following_shows_states_output_and_the_end(oet: Oet) -> None:
    done = oet("procedure", "run", oet.uris["good"], "--x=1")
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ")[2] for line in done.stdout.splitlines()]
    states = [line.removeprefix("state ") for line in lines if line.startswith("state ")]
    assert states[-3:] == ["READY", "RUNNING", "COMPLETE"]
    assert "INITIALISING" in states
    assert _squeezed(done.stdout)[-2].endswith("COMPLETE")
    assert done.stderr == ""


def test_a_script_that_fails(oet: Oet) -> None:
    code, document = oet.json("procedure", "run", oet.uris["failing"], "--subarray_id=none")
    assert (code, document["procedure"]["state"]) == (1, "FAILED")
    done = oet("procedure", "describe", f"--pid={document['procedure']['id']}")
    assert done.returncode == 0
    assert "ValueError: the dish is [red]not[/red] there" in done.stdout
    assert "failing.py" in done.stdout
    assert "Index Method Arguments Keyword Arguments" in _squeezed(done.stdout)


def test_a_script_that_is_stopped(oet: Oet, client: OETClient) -> None:
    following = oet.start("procedure", "run", oet.uris["endless"], "--subarray_id=none", "--json")
    number = _running(client)
    code, document = oet.json("procedure", "stop", "--run_abort=False")
    assert code == 0
    assert (document["procedure"]["id"], document["procedure"]["state"]) == (number, "STOPPED")
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert (following.returncode, stderr) == (4, "")
    assert json.loads(stdout)["procedure"]["state"] == "STOPPED"


def test_a_clean_up_that_was_cut_off_is_said(oet: Oet, client: OETClient) -> None:
    following = oet.start("procedure", "run", oet.uris["stubborn"], "--subarray_id=none", "--json")
    number = _running(client)
    said = "Ended: killed, as it had not ended within the grace period: its clean-up was cut off"
    assert said in oet("procedure", "stop", "--run_abort=False").stdout
    assert said in oet("procedure", "describe", f"--pid={number}").stdout
    stdout, _ = following.communicate(timeout=DEADLINE)
    assert following.returncode == 4
    assert json.loads(stdout)["procedure"]["exit"]["code"] is None
    page = oet.json("procedure", "list", "--all", "--limit=1")[1]
    assert (page["procedures"][0]["exit"]["code"], page["procedures"][0]["exit"]["stopped_by"]) == (
        None,
        "SIGKILL",
    )


def test_a_script_that_takes_the_signal_itself_has_been_stopped(oet: Oet, client: OETClient) -> None:
    following = oet.start("procedure", "run", oet.uris["polite"], "--subarray_id=none")
    _running(client)
    assert "Ended: main returned" in oet("procedure", "stop", "--run_abort=False").stdout
    stdout, _ = following.communicate(timeout=DEADLINE)
    assert following.returncode == 4
    assert "STOPPED" in stdout


def test_a_stop_whose_abort_script_fails_says_so(oet: Oet) -> None:
    """The stack of these tests has no telescope, so that there is no subarray to abort."""
    _, document = oet.json("procedure", "create", oet.uris["good"], "--listen")
    number = document["procedure"]["id"]
    code, document = oet.json("procedure", "stop", f"--pid={number}", "--run_abort")
    assert (code, document["procedure"]["state"]) == (1, "STOPPED")
    assert document["result"]["abort"]["state"] == "FAILED"
    _, document = oet.json("procedure", "run", oet.uris["endless"], "--listen=False")
    done = oet("procedure", "stop", f"--pid={document['procedure']['id']}")
    assert done.returncode == 1
    assert "Abort script: not run" in done.stdout


def test_a_stop_of_what_has_not_called_main_aborts_nothing(oet: Oet) -> None:
    _, document = oet.json("procedure", "create", oet.uris["good"], "--listen")
    assert document["procedure"]["subarray_ids"] == [1]
    code, document = oet.json("procedure", "stop", f"--pid={document['procedure']['id']}")
    assert (code, document["procedure"]["state"]) == (0, "STOPPED")
    assert "abort" not in document["result"]


def test_create_then_start(oet: Oet) -> None:
    code, document = oet.json(
        "procedure", "create", oet.uris["good"], "--colour=blue", "--subarray_id=2", "--listen"
    )
    procedure = document["procedure"]
    assert (code, procedure["state"]) == (0, "READY")
    assert procedure["script_args"]["init"] == {"args": [], "kwargs": {"colour": "blue", "subarray_id": 2}}
    code, document = oet.json("procedure", "start", f"--pid={procedure['id']}", "bob", "--simulate=false")
    assert (code, document["procedure"]["state"]) == (0, "COMPLETE")
    assert document["procedure"]["script_args"]["main"] == {"args": ["bob"], "kwargs": {"simulate": False}}


def test_start_takes_the_one_created_last_and_may_not_follow(oet: Oet, client: OETClient) -> None:
    for _ in range(2):
        oet.json("procedure", "create", oet.uris["endless"], "--subarray_id=none", "--listen")
    newest = client.describe().id
    code, document = oet.json("procedure", "start", "--listen=False")
    assert (code, document["procedure"]["id"]) == (0, newest)
    code, document = oet.json("procedure", "list", f"--pid={newest}")
    assert [item["state"] for item in document["procedures"]] == ["RUNNING"]
    code, document = oet.json("procedure", "start")
    assert (code, document["error"]["code"]) == (3, "OET_Rejected")
    assert f"procedure {newest} is RUNNING, not READY" in document["error"]["message"]


@pytest.mark.parametrize("listen", ["--listen=False", "--listen=True"])
def test_start_waits_for_what_is_still_loading(oet: Oet, tmp_path: Path, listen: str) -> None:
    go = tmp_path / "go"
    oet.json("procedure", "create", oet.uris["good"], "--listen")
    oet.json("procedure", "create", oet.uris["patient"], f"--path={go}")
    done = oet("procedure", "start", listen, "--timeout=1")
    assert done.returncode == 5
    assert re.search(r"procedure \d+ is [A-Z]+: waiting until it is READY", done.stderr)
    starting = oet.start("procedure", "start", listen)
    assert starting.stderr is not None
    assert "waiting until it is READY" in starting.stderr.readline()
    go.touch()
    stdout, stderr = starting.communicate(timeout=DEADLINE)
    assert (starting.returncode, stderr) == (0, "")
    assert "patient.py" in stdout
    assert "good.py" not in stdout


def test_start_starts_nothing_else_where_the_last_has_failed(oet: Oet) -> None:
    oet.json("procedure", "create", oet.uris["good"], "--listen")
    code, document = oet.json("procedure", "create", oet.uris["unloadable"], "--listen")
    assert code == 1
    code, document = oet.json("procedure", "start")
    assert (code, document["error"]["code"]) == (3, "OET_Rejected")
    assert "is FAILED, not READY" in document["error"]["message"]


def test_a_subarray_that_is_no_whole_number_is_refused(oet: Oet) -> None:
    for wrong in ("-1", "0", "1.5", "True", "'1.0'", "one"):
        code, document = oet.json("procedure", "create", oet.uris["good"], f"--subarray_id={wrong}")
        assert (code, document["error"]["code"]) == (2, "OET_InvalidArgument")
        assert "init.kwargs.subarray_id" in document["error"]["message"]
    code, document = oet.json("procedure", "create", oet.uris["good"], "--subarray_id=17")
    assert (code, document["error"]["code"]) == (3, "OET_Rejected")
    assert "commands subarrays 1-16, not subarray 17" in document["error"]["message"]


def test_a_script_gets_no_subarray_that_it_does_not_take(oet: Oet) -> None:
    code, document = oet.json("procedure", "run", oet.uris["endless"], "--listen=False")
    assert (code, document["procedure"]["subarray_ids"]) == (0, [])
    code, other = oet.json("procedure", "run", oet.uris["good"], "--subarray_id=2")
    assert code == 3
    assert "holds everything" in other["error"]["message"]
    oet.json("procedure", "stop", "--run_abort=False")
    code, document = oet.json("procedure", "run", oet.uris["several"], "--subarray_ids=[1, 3]")
    assert (code, document["procedure"]["subarray_ids"]) == (0, [1, 3])


def test_run_may_not_follow(oet: Oet, client: OETClient) -> None:
    for option in ("--listen=false", "--no-listen"):
        code, document = oet.json("procedure", "run", oet.uris["endless"], "--subarray_id=none", option)
        procedure = document["procedure"]
        assert (code, procedure["state"]) == (0, "RUNNING")
        assert procedure["script_args"]["main"] == {"args": [], "kwargs": {}}
        client.stop(procedure["id"], run_abort=False, timeout=DEADLINE)
    code, document = oet.json("procedure", "run", oet.uris["good"], "--listen")
    assert (code, document["procedure"]["state"]) == (0, "COMPLETE")
    assert document["procedure"]["script_args"]["main"]["kwargs"] == {}


def test_a_number_or_a_path_alone_is_enough(oet: Oet) -> None:
    path = url2pathname(urlsplit(oet.uris["endless"]).path)
    done = oet("procedure", "run", path, "--subarray_id=none", "--listen=false", "--json")
    number = str(json.loads(done.stdout)["procedure"]["id"])
    for command in ("describe", "list", "output"):
        assert oet("procedure", command, number).returncode == 0
    refused = oet("procedure", "start", number)
    assert (refused.returncode, f"oet procedure start --pid={number}" in refused.stderr) == (2, True)
    code, document = oet.json("procedure", "stop", number, "--run_abort=false")
    assert (code, str(document["procedure"]["id"])) == (0, number)


def test_a_list_says_what_it_leaves_out(oet: Oet, client: OETClient) -> None:
    for _ in range(11):
        client.run(oet.uris["good"], init=ProcedureInput(subarray_id=1), timeout=DEADLINE)
    left_out = client.history().total - len(client.list())
    assert left_out > 0
    last = oet("procedure", "list").stdout.splitlines()[-1]
    assert last.startswith(f"{left_out} older procedure")
    assert last.endswith("not listed: oet procedure list --all")


# -------------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["procedure", "create", "good.py"], 2, "OET_InvalidArgument"),
        (["procedure", "start", "--pid=4711"], 3, "OET_Rejected"),
        (["procedure", "stop", "--pid=4711"], 3, "OET_Rejected"),
        (["procedure", "describe", "--pid=4711"], 3, "OET_NotFound"),
        (["procedure", "list", "--pid=4711"], 3, "OET_NotFound"),
        (["procedure", "stop"], 3, "OET_Rejected"),
        (["procedure", "create", "file:///nowhere/x.py", "--create_env"], 2, "OET_InvalidArgument"),
        (["procedure", "dance"], 2, "OET_InvalidArgument"),
    ],
)
def test_a_refusal_is_one_document_and_a_code(oet: Oet, arguments: list[str], code: int, reason: str) -> None:
    found, document = oet.json(*arguments)
    assert (found, document["error"]["code"]) == (code, reason)
    assert document["error"]["message"]
    done = oet(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_missing_script_is_refused(oet: Oet, verb: str) -> None:
    code, document = oet.json("procedure", verb, "file:///nowhere/x.py")
    assert code == 3
    assert document["error"] == {"code": "OET_Rejected", "message": "there is no script /nowhere/x.py"}


def test_time_runs_out_and_the_script_goes_on(oet: Oet, client: OETClient) -> None:
    code, document = oet.json("procedure", "run", oet.uris["endless"], "--subarray_id=none", "--timeout=3")
    assert (code, document["error"]["code"]) == (5, "OET_Timeout")
    assert not client.describe(document["procedure_id"]).state.final


@pytest.mark.parametrize(
    "variables",
    [
        {"TANGO_HOST": "127.0.0.1:1"},
        {"TANGO_HOST": "127.0.0.1"},
        {"TANGO_HOST": "127.0.0.1:x"},
        {"OET_DEVICE": "no/such/device"},
        {"OET_DEVICE": "tango://127.0.0.1:1/a/b/c#dbase=no"},
    ],
)
def test_an_unreachable_controller_is_named(oet: Oet, variables: dict[str, str]) -> None:
    done = oet("procedure", "list", **variables)
    assert (done.returncode, done.stdout) == (6, "")
    assert next(iter(variables.values())).split("#")[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert "delayed" not in done.stderr  # how Tango counts its attempts is nothing to an operator
    done = oet("procedure", "run", oet.uris["good"], "--json", **variables)
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"]["code"] == "OET_ControllerUnreachable"


def test_a_run_that_is_refused_leaves_no_process_behind(oet: Oet, client: OETClient) -> None:
    holder = client.create(oet.uris["endless"], subarray_id=7)
    client.wait(holder.id, {ProcedureState.READY}, DEADLINE)
    client.start(holder.id)
    code, document = oet.json("procedure", "run", oet.uris["good"], "--subarray_id=7")
    assert (code, document["error"]["code"]) == (3, "OET_Rejected")
    made = document["procedure_id"]
    assert f"procedure {made}, which was made for this, is ended" in document["error"]["message"]
    with pytest.raises(Rejected, match=f"procedure {holder.id}, which is RUNNING, .* is ended"):
        client.run(oet.uris["good"], init=ProcedureInput(subarray_id=7), timeout=DEADLINE)
    states = {procedure.id: procedure.state for procedure in client.list() if procedure.id >= holder.id}
    assert states == {holder.id: "RUNNING", made: "STOPPED", made + 1: "STOPPED"}


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_stops_the_following_and_not_the_script(oet: Oet, client: OETClient, *, as_json: bool) -> None:
    following = oet.start(
        "procedure", "run", oet.uris["endless"], "--subarray_id=none", *(["--json"] if as_json else [])
    )
    number = _running(client)
    following.send_signal(signal.SIGINT)
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert following.returncode == 130
    message = json.loads(stdout)["error"]["message"] if as_json else stderr
    assert f"procedure {number} " in message
    assert "go" in message  # "goes on", or "may go on" if the start was not answered yet
    assert "Traceback" not in stderr
    assert client.describe(number).state == "RUNNING"


def test_ctrl_c_ends_listening(oet: Oet) -> None:
    listening = oet.start(
        "listen", "--topic", "user", "--topic", "procedure.lifecycle", "--since=0", "--json"
    )
    oet.json("procedure", "run", oet.uris["good"])
    assert listening.stdout is not None
    item: dict[str, Any] = {}
    while item.get("data", {}).get("new_state") != "COMPLETE":
        item = json.loads(listening.stdout.readline())
        assert item["kind"] == "Event"
        assert item["topic"].startswith(("procedure.lifecycle", "user"))
    listening.send_signal(signal.SIGINT)
    _, stderr = listening.communicate(timeout=DEADLINE)
    assert (listening.returncode, stderr) == (0, "")


def test_listen_prints_events_for_people(oet: Oet) -> None:
    oet.json("procedure", "run", oet.uris["good"])
    done = oet("listen", "--since=0", "--timeout=2")
    assert done.returncode == 0, done.stderr
    blocks = [block for block in done.stdout.split("\n\n") if block]
    for block in blocks:
        event, data = block.splitlines()
        assert event.startswith("event: ")
        json.loads(data.removeprefix("data: "))
    assert "event: procedure.lifecycle.complete" in done.stdout


def test_a_reader_that_goes_away_is_no_fault(oet: Oet) -> None:
    oet.json("procedure", "run", oet.uris["good"])
    listening = oet.start("listen", "--since=0")
    assert listening.stdout is not None
    listening.stdout.readline()
    listening.stdout.close()
    listening.stdout = None
    oet.json("procedure", "run", oet.uris["good"])
    _, stderr = listening.communicate(timeout=DEADLINE)
    assert listening.returncode == 141
    assert stderr == ""


# -------------------------------------------------------------------- the program
def test_help_and_completion_do_without_tango(oet: Oet) -> None:
    for arguments, variables in (
        (["procedure", "run", "--help"], {}),
        ([], {"_OET_COMPLETE": "complete_bash", "COMP_WORDS": "oet procedure ", "COMP_CWORD": "2"}),
    ):
        done = oet(*arguments, PYTHONPROFILEIMPORTTIME="1", **variables)
        assert done.returncode == 0
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "ska_oso_oet.cli.app" in imported
        assert "tango" not in imported
    assert done.stdout.split() == ["create", "list", "start", "stop", "describe", "run", "output"]


def test_tables_are_whole_where_there_is_no_terminal(oet: Oet) -> None:
    oet.json("procedure", "run", oet.uris["good"])
    done = oet("procedure", "list", COLUMNS="20", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0
    assert oet.uris["good"] in done.stdout
    assert "\x1b" not in done.stdout
    assert _squeezed(done.stdout.replace("|", ""))[0].startswith("ID Script Creation time State ")


def _running(client: OETClient) -> int:
    """Wait until a procedure runs, by events; return its id."""
    with client.events(["procedure.lifecycle.statechange"]) as stream:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            for procedure in client.list():
                if procedure.state == "RUNNING":
                    return procedure.id
            stream.get(1)
    pytest.fail("no procedure runs")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_controller_that_is_restarted_meanwhile(
    own_stack: StackProcess, tmp_path: Path, *, as_json: bool
) -> None:
    oet = _oet(own_stack, tmp_path)
    following = oet.start("procedure", "run", oet.uris["endless"], *(["--json"] if as_json else []))
    with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
        _running(client)
    requests = _Requests(own_stack, following.pid)
    own_stack.wait_until(requests.tell_that_start_was_answered, "the answer to the start")
    own_stack.named("OETController").kill()
    stdout, stderr = following.communicate(timeout=DEADLINE)
    assert following.returncode == 1
    ended = json.loads(stdout)["procedure"]["exit"]["message"] if as_json else stdout
    assert "the controller was lost while the procedure was RUNNING" in ended
    assert "Traceback" not in stdout + stderr
    code, document = oet.json("procedure", "run", oet.uris["good"])
    assert (code, document["procedure"]["state"]) == (0, "COMPLETE")


class _Requests:
    """What a controller notes of the requests of one client, in their order; it forgets them soon."""

    def __init__(self, stack: StackProcess, pid: int) -> None:
        self._controller = tango.DeviceProxy(f"tango://{stack.tango_host}/{DEFAULT_DEVICE}")
        self._client = f"PID {pid})"
        self._noted: dict[str, None] = {}

    def tell_that_start_was_answered(self) -> bool:
        """Who starts a procedure asks for it twice to know how it stands, and from then on to follow it."""
        newest_first = self._controller.black_box(50)
        self._noted |= dict.fromkeys(text for text in reversed(newest_first) if self._client in text)
        asked = [text for text in self._noted if "StartProcedure" in text or "DescribeProcedure" in text]
        started = next((index for index, text in enumerate(asked) if "Start" in text), len(asked))
        return len(asked) - started > 3
