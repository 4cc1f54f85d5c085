"""The command lines that the manual of the original prints, as they are printed, and what comes back."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import pytest

from tests.system.oet_program import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.system.oet_program import Oet

T = TypeVar("T")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

LISTED: Final = Path(__file__).parents[2] / "docs" / "from-the-original.toml"
_CELL: Final = re.compile(r"\S+(?: \S+)*")
_NUMBER: Final = re.compile(r"(--[pa]id=|/procedures/)(\d+)")
_ANSWERS: Final = {row["door"] for row in tomllib.loads(LISTED.read_text("utf-8"))["answers"]}


def instead(printed: object, here: T, row: str) -> T:
    """Return what is answered here in the place of what is printed, as a row of from-the-original.md says."""
    assert printed != here
    assert row in _ANSWERS, f"{row} is not among the answers that docs/from-the-original.toml lists"
    return here


class Table(NamedTuple):
    """A table that `oet` printed."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def column(self, name: str) -> list[str]:
        """Return the cells of a column, from the top."""
        return [row[self.columns.index(name)] for row in self.rows]

    def of(self, *names: str) -> list[tuple[str, ...]]:
        """Return these columns alone, row by row."""
        return list(zip(*map(self.column, names), strict=True))


def tables(text: str) -> list[Table]:
    """Read every table in an output: a line of names, a rule, and rows up to an empty line."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines):
        if line and not line.strip("─"):
            names = list(_CELL.finditer(lines[number - 1]))
            edges = [*(name.start() for name in names), None]
            rows = [
                tuple(row[begin:end].strip() for begin, end in itertools.pairwise(edges))
                for row in itertools.takewhile(str.strip, lines[number + 1 :])
            ]
            found.append(Table(tuple(name.group() for name in names), rows))
    return found


class Manual:
    """Types command lines of the manual, on a stack where others have been before.

    `places` is what stands here for a path, a repository or a URL of the manual; `before` is how many
    procedures and activities there were, as the first of the manual has the number 1.
    """

    def __init__(self, oet: Oet, places: Mapping[str, str], before: Mapping[str, int]) -> None:
        self.oet = oet
        self._places = places
        self._before = before

    def here(self, printed: str) -> str:
        """Put what is of this place for what is of the manual's."""
        for place in self._places:
            printed = printed.replace(place, self._places[place])
        return _NUMBER.sub(lambda match: f"{match[1]}{self.number(match[1], int(match[2]))}", printed)

    def number(self, kind: str, printed: int) -> int:
        """Return the number here of a procedure or, where `kind` is an option `--aid=`, of an activity."""
        return printed + self._before["aid" if "aid" in kind else "pid"]

    def words(self, line: str) -> list[str]:
        """Read a command line as a shell does, for this place."""
        return [self.here(word) for word in shlex.split(line)]

    def __call__(self, line: str) -> list[Table]:
        """Run an `oet`, which succeeds, and return the tables that it prints."""
        program, *arguments = self.words(line)
        assert program == "oet"
        done = self.oet(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return tables(done.stdout)

    def curl(self, line: str) -> tuple[int, str, Any]:
        """Run a `curl -i`; return the status, the type of what comes back, and its JSON."""
        argv = [*self.words(line), "-sS"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=True)
        head, _, body = done.stdout.replace("\r", "").partition("\n\n")
        status, *fields = head.splitlines()
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        return int(status.split()[1]), headers["content-type"], json.loads(body)
