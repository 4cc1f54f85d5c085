"""What the documentation shows is what happens: its commands are run, and what they print is compared."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ska_oso_oet.resources import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.system.stack_process import StackProcess

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
TUTORIAL: Final = DOCS / "tutorials" / "first-five-minutes.md"
DEADLINE: Final = 60.0

FILE: Final = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
BLOCK: Final = re.compile(r"<!-- run(?:: exit code (\d+))? -->\n```console\n(.*?)```", re.DOTALL)
ITANGO: Final = re.compile(r"<!-- run in itango -->\n```python\n(.*?)```", re.DOTALL)
MOVING: Final = re.compile(r"(file:\S+ DAY T) [A-Z]+(?=\n\nT )")
BASH: Final = re.compile(r"```bash\n(.*?)```", re.DOTALL)
HOW_FAR: Final = re.compile(r"(STOPPED \d+)( \d+ %)?(?= LASTED)")
PYTHON: Final = re.compile(r"```python\n(.*?)```", re.DOTALL)
IMPORT: Final = re.compile(r"^(?:from (?!ska_tango_base)\S+ )?import .*", re.MULTILINE)
PORT: Final = re.compile(r":\d+")
DURATION: Final = re.compile(r"\b\d:\d{2}:\d{2}\b")
REQUESTER: Final = re.compile(r"\S+@\S+ pid \d+")
CLOCK: Final = re.compile(r"\d{2}:\d{2}:\d{2}(\.\d+)?")


@dataclass(frozen=True)
class Step:
    """A command, what it prints, and the exit code that it ends with."""

    command: str
    printed: str
    code: int


def steps(page: str) -> Iterator[Step]:
    """Read the commands of the blocks that are marked for it; the exit code is that of the last."""
    for code, block in BLOCK.findall(page):
        found = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
        for number, (command, _, printed) in enumerate(found, 1):
            yield Step(command, printed, int(code or 0) if number == len(found) else 0)


def essence(text: str, places: dict[str, str]) -> list[str]:
    """Take out what differs from run to run: times, places, the order of events, the width of columns."""
    for place, name in places.items():
        text = text.replace(place, name)
    text = re.sub(r"\d{4}-\d{2}-\d{2}", "DAY", text)
    text = CLOCK.sub("T", text)
    text = REQUESTER.sub("WHO", DURATION.sub("LASTED", text))
    text = re.sub("─+", "─", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    # The table before the events is a look at something that is moving.
    lines = [HOW_FAR.sub(r"\1 …", line) for line in lines]
    lines = MOVING.sub(r"\1 …", "\n".join(lines)).split("\n")
    return [
        line
        for are_events, group in groupby(lines, lambda line: line.startswith("T "))
        for line in (sorted(group) if are_events else group)
    ]


@pytest.fixture
def environment(own_stack: StackProcess) -> dict[str, str]:
    """The second terminal of the tutorial: a shell with the OET on its PATH, whose procedures begin at 1."""
    return {**own_stack.env, "PATH": f"{Path(program('oet')).parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_tutorial(environment: dict[str, str], tmp_path: Path) -> None:
    page = TUTORIAL.read_text("utf-8")
    for name, content in FILE.findall(page):
        (tmp_path / name).write_text(content, "utf-8")
    places = {str(tmp_path): "HERE", "/home/you/first": "HERE", "127.0.0.1:10000": "DATABASE"}
    places[environment["TANGO_HOST"]] = "DATABASE"
    todo = list(steps(page))
    assert len(todo) == 9
    for step in todo:
        done = _typed(step.command, environment, tmp_path)
        assert essence(done.stdout, places) == essence(step.printed, places), (
            f"$ {step.command}\n{done.stdout}"
        )
        assert (done.returncode, done.stderr) == (step.code, ""), step.command
    # And once more in the same system, where everything has other numbers.
    for step in todo:
        done = _typed(step.command, environment, tmp_path)
        assert (done.returncode, done.stderr) == (step.code, ""), step.command


def _typed(command: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


AUTOMATED: Final = {
    "def main(scans): pass\n": 0,
    "def main(scans): raise ValueError('no dish')\n": 1,
    "import time\ndef main(scans): time.sleep(600)\n": 5,
    "def main(scans, more): pass\n": 1,
}


def test_the_script_for_automation_tells_how_it_ended(environment: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("the script of the page uses jq")
    (example,) = BASH.findall((DOCS / "how-to" / "automate.md").read_text("utf-8"))
    script = tmp_path / "observe.py"
    program_text = example.replace("file:///opt/observing/observe.py", script.as_uri())
    for source, code in AUTOMATED.items():
        script.write_text(source, "utf-8")
        limit = "--timeout 5" if code == 5 else f"--timeout {DEADLINE:g}"
        done = _typed(program_text.replace("--timeout 3600", limit), environment, tmp_path)
        assert done.returncode == code, f"{source}\n{done.stdout}{done.stderr}"
    away = {**environment, "TANGO_HOST": "127.0.0.1:1"}
    done = _typed(program_text, away, tmp_path)
    assert (done.returncode, "nothing answers at 127.0.0.1:1" in done.stderr) == (6, True), done.stderr


def test_what_oet_up_prints(start_stack: Callable[..., StackProcess], tmp_path: Path) -> None:
    running = start_stack([program("oet"), "up", "--port", "0", "--data-dir", str(tmp_path / "data")])
    assert running.process.stdout is not None
    line = running.process.stdout.readline().decode()
    for page in (TUTORIAL, DOCS.parent / "README.md"):
        (shown,) = re.findall(r"^\$ \S+/oet up\n(.*\n)", page.read_text("utf-8"), re.MULTILINE)
        assert PORT.sub(":N", line) == PORT.sub(":N", shown)


def test_the_comparison_sees_a_difference() -> None:
    shown = "ID   State\n──────\n1    READY\n11:44:36.5 state IDLE\n11:44:36.6 state READY\n"
    same = "ID  State\n───\n1   READY\n12:00:00.1 state READY\n12:00:00.2 state IDLE\n"
    assert essence(same, {}) == essence(shown, {})
    assert essence(same.replace("1   READY", "1   FAILED"), {}) != essence(shown, {})
    assert essence(same.replace("state IDLE", "state LOADING"), {}) != essence(shown, {})
    assert essence(same.replace("ID  State", "State  ID"), {}) != essence(shown, {})


def test_the_example_for_itango(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(FILE.findall(TUTORIAL.read_text("utf-8"))[0][1], "utf-8")
    (example,) = ITANGO.findall((DOCS / "how-to" / "use-from-tango.md").read_text("utf-8"))
    program_text = example.replace("file:///path/to/first.py", script.as_uri())
    (tmp_path / "example.py").write_text(program_text + "\nprint(code, procedure['subarray_id'])\n", "utf-8")
    done = subprocess.run(
        [program("itango"), "example.py"],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["1", "1"]), done.stderr


def test_what_python_examples_import_exists() -> None:
    examples = [block for page in DOCS.rglob("*.md") for block in PYTHON.findall(page.read_text("utf-8"))]
    for example in examples:
        compile(example, "an example", "exec")
    imports = sorted({line for example in examples for line in IMPORT.findall(example)})
    assert imports
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(imports)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_tables_of_the_device_are_those_of_the_present_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.tables", "--check"],
        cwd=DOCS.parent,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"stale (run python -m docs.tables): {done.stdout}{done.stderr}"


def test_the_interface_is_that_of_the_running_device(stack: StackProcess) -> None:
    import tango  # noqa: PLC0415 - the other tests of this module need none

    page = (DOCS / "reference" / "tango-interface.md").read_text("utf-8")
    device = tango.DeviceProxy(f"tango://{stack.tango_host}/mid-oso/oet-controller/01")
    listed = set(re.findall(r"^\| `(\w+)` \| ", page, re.MULTILINE))
    offered = {*device.get_command_list(), *device.get_attribute_list()} - {"Init", "State", "Status"}
    assert offered == listed
