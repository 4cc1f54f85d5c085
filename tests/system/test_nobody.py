"""A user that the system does not know: no name, no home directory, only a directory that is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.resources import program
from ska_oso_oet.ska.control_model import HealthState
from tests.system.oet_program import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess

    Start = Callable[..., StackProcess]

NOBODY = 54321
SETPRIV = shutil.which("setpriv")
# Where the interpreter is below another user's home directory, it has to be readable all the same.
READING = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *READING]
pytestmark = pytest.mark.skipif(os.getuid() != 0 or SETPRIV is None, reason="only root becomes another user")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of the user's, which says itself what is in it."""
    directory = tmp_path / "50%2F why?"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    # The directories above it are this user's only.
    for parent in directory.parents[:3]:
        parent.chmod(0o755)
    return directory


@pytest.fixture
def as_nobody(place: Path) -> list[str]:
    environment = ["env", "-i", "PATH=/usr/bin:/bin", f"TMPDIR={place}"]
    return [*AS_NOBODY, *environment]


def test_a_user_without_name_and_home_runs_scripts(
    start_stack: Start, place: Path, as_nobody: list[str]
) -> None:
    data = place / "data"
    stack = start_stack([*as_nobody, program("oet"), "up", "--port=0", f"--data-dir={data}"], data)
    stack.wait_ready()
    # A slow machine is told what it waits for, which is no complaint.
    assert [line for line in stack.stderr.splitlines() if not line.startswith("oet up: starting for ")] == []
    controller = tango.DeviceProxy(f"tango://{stack.tango_host}/mid-oso/oet-controller/01")
    stack.wait_until(lambda: controller.healthState == HealthState.OK, "the controller's health")
    (place / "hello.py").write_text("import os\n\ndef main():\n    print('uid', os.getuid())\n")
    uri = (place / "hello.py").as_uri()
    done = subprocess.run(
        [*as_nobody, f"TANGO_HOST={stack.tango_host}", program("oet"), "procedure", "run", uri],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"uid {NOBODY}" in done.stdout
    assert stack.stop() == 0
    assert (data / "history.db").is_file()
    assert {entry.name for entry in place.iterdir()} == {"data", "hello.py"}


@pytest.mark.parametrize(
    ("arguments", "named"), [(["up", "--port=0"], "--data-dir"), (["sbd", "list", "--local"], "ODA_DATA_DIR")]
)
def test_what_needs_a_home_says_what_to_give_instead(
    as_nobody: list[str], arguments: list[str], named: str
) -> None:
    done = subprocess.run(
        [*as_nobody, program("oet"), *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode != 0
    assert "this user has no home directory; give " in done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
