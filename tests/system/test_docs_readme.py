"""The README keeps what it promises: its tour is walked, and what it links to exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ska_oso_oet.resources import program

if TYPE_CHECKING:
    from tests.system.stack_process import StackProcess

ROOT: Final = Path(__file__).resolve().parents[2]
DEADLINE: Final = 60.0
CONSOLE: Final = re.compile(r"```console\n(.*?)```", re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_the_tour(own_stack: StackProcess) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    lines = [line for block in CONSOLE.findall(text) for line in block.splitlines()]
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ oet ")]
    assert len(commands) >= 9
    path = f"{Path(program('oet')).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env={**own_stack.env, "PATH": path},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"$ {command}\n{done.stdout}"
    assert "STOPPED" in done.stdout.splitlines()[-2]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "devices/README.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text("utf-8"))
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
