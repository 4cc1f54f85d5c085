"""`oet up` with the OET's own servers, and the demo that stands on it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.resources import program, scripts_dir

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.stack_process import StackProcess

CONTROLLER = "mid-oso/oet-controller/01"
STATE = f"import tango; print(tango.DeviceProxy({CONTROLLER!r}).State())"
LASTING = "import time\ndef main():\n    time.sleep(600)\n"


def oet(stack: StackProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [program("oet"), *arguments]
    return subprocess.run(argv, env=stack.env, capture_output=True, text=True, timeout=60, check=False)


def controller_state(stack: StackProcess) -> str:
    argv = [sys.executable, "-c", STATE]
    said = subprocess.run(argv, env=stack.env, capture_output=True, text=True, timeout=60, check=False)
    return said.stdout.strip()


def start_lasting_script(stack: StackProcess, directory: Path) -> None:
    script = directory / "lasting.py"
    script.write_text(LASTING)
    created = oet(stack, "procedure", "create", script.as_uri(), "--json")
    assert created.returncode == 0, created.stderr + created.stdout
    started = oet(stack, "procedure", "start", "--listen=false", "--json")
    assert started.returncode == 0, started.stderr + started.stdout


def test_the_controller_is_on_without_a_further_step(stack: StackProcess) -> None:
    assert controller_state(stack) == "ON"


def test_an_observing_script_runs_to_its_end(stack: StackProcess) -> None:
    script = (scripts_dir() / "hello_world.py").as_uri()
    ran = oet(stack, "procedure", "run", script, "SKA", "--scans=2", "--scan_duration=0.01", "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert '"COMPLETE"' in json.dumps(json.loads(ran.stdout))


def test_a_killed_controller_comes_back(own_stack: StackProcess) -> None:
    first = own_stack.named("OETController")
    first.kill()
    own_stack.wait_until(
        lambda: controller_state(own_stack) == "ON" and not first.is_running(), "the return of the controller"
    )


def test_kill_9_with_a_running_script_leaves_no_process_behind(
    own_stack: StackProcess, tmp_path: Path
) -> None:
    before = len(own_stack.processes())
    start_lasting_script(own_stack, tmp_path)
    assert len(own_stack.processes()) > before
    own_stack.stop(signal.SIGKILL)
    assert own_stack.wait_all_gone() == []


def test_a_stop_with_a_running_script_leaves_no_process_behind(
    own_stack: StackProcess, tmp_path: Path
) -> None:
    start_lasting_script(own_stack, tmp_path)
    assert own_stack.stop() == 0
    assert own_stack.processes() == []


def test_a_stop_ends_what_scripts_have_set_free(own_stack: StackProcess, tmp_path: Path) -> None:
    script = tmp_path / "detached.py"
    script.write_text("import subprocess\ndef main():\n    subprocess.Popen(['setsid', 'sleep', '600'])\n")
    ran = oet(own_stack, "procedure", "run", script.as_uri(), "--json")
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert own_stack.stop() == 0
    assert own_stack.processes() == []


@pytest.mark.timeout(240)
def test_the_demo_shows_two_observations_and_leaves_no_process_behind() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TANGO_HOST"}
    argv = [sys.executable, "-m", "ska_oso_oet.demo"]
    shown = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=220, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for expected in (
        "the telescope is ON",
        "subarray 1 has its resources",
        "progress 100 % scan 2 of 2",
        "subarray 1 is EMPTY",
        "the telescope is in STANDBY",
        "Abort script: procedure 9, COMPLETE",
        "subarray 1 is ABORTED: nothing to abort",
        "processes left behind: none",
    ):
        assert expected in shown.stdout
    activities = [line.split() for line in shown.stdout.rpartition("$ oet activity list")[2].splitlines()]
    assert [(line[1], line[-1]) for line in activities if "sbd-mid-example" in line] == [
        ("allocate", "COMPLETE"),
        ("observe", "COMPLETE"),
        ("deallocate", "COMPLETE"),
        ("allocate", "COMPLETE"),
        ("observe", "STOPPED"),
    ]


def test_what_a_stack_keeps_is_for_its_user_alone_and_scripts_write_as_their_user_wants(
    stack: StackProcess, tmp_path: Path
) -> None:
    written = tmp_path / "written.txt"
    script = tmp_path / "write.py"
    script.write_text(f"def main(): open({str(written)!r}, 'w').close()\n")
    ran = oet(stack, "procedure", "run", script.as_uri())
    assert ran.returncode == 0, ran.stderr + ran.stdout
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(written.stat().st_mode) == 0o666 & ~umask
    kept = stack.data_dir
    folders = [kept, *(kept / name for name in ("logs", "devices", "registered"))]
    files = [*kept.glob("*.db*"), *(kept / "logs").iterdir(), *(kept / "registered").iterdir()]
    assert {kept / "history.db", kept / "tango.db", kept / "history.db-wal"} <= set(files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {
        path.name: oct(0o600) for path in files
    }
