"""The directory that a stack is started in is nobody's source of code."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import tango

from ska_oso_oet.resources import program
from ska_oso_oet.ska.control_model import HealthState
from tests.system.oet_program import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess

    Start = Callable[..., StackProcess]

# What the standard library, Tango's database, dsconfig, the fork server and scripts import.
NAMES = ["queue", "random", "sqlite3", "json", "tango", "pubsub", "dsconfig", "pydantic", "ska_oso_oet"]


def test_modules_of_the_current_directory_are_not_imported(start_stack: Start, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in NAMES:
        planted = f"open({str(tmp_path / 'planted')!r}, 'a').write(__file__)\nraise RuntimeError('planted')\n"
        (here / f"{name}.py").write_text(planted)
    data = tmp_path / "data"
    stack = start_stack(
        ["env", "-C", str(here), program("oet"), "up", "--port=0", f"--data-dir={data}"], data
    )
    stack.wait_ready()
    controller = tango.DeviceProxy(f"tango://{stack.tango_host}/mid-oso/oet-controller/01")
    stack.wait_until(lambda: controller.healthState == HealthState.OK, "the controller's health")
    script = tmp_path / "hello.py"
    script.write_text("import queue, pubsub, tango\n\ndef main():\n    print('hello')\n")
    done = subprocess.run(
        [program("oet"), "procedure", "run", script.as_uri()],
        cwd=here,
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout
    assert stack.stop() == 0
    assert not (tmp_path / "planted").exists()
