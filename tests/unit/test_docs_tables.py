"""The documentation agrees with the code, as far as that can be seen without Tango."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, get_args

import pytest

from docs import tables
from ska_oso_oet.activity.domain import ActivityCommand
from ska_oso_oet.event.journal import EventsQuery
from ska_oso_oet.procedure.commands import PrepareProcessCommand, StartProcessCommand, StopProcessCommand
from ska_oso_oet.procedure.domain import ExitRecord
from ska_oso_oet.procedure.output import OutputQuery

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.models import Model

ARGUMENTS: Final[dict[str, type[Model]]] = {
    "CreateProcedure": PrepareProcessCommand,
    "StartProcedure": StartProcessCommand,
    "StopProcedure": StopProcessCommand,
    "RunActivity": ActivityCommand,
    "GetEvents": EventsQuery,
    "GetOutput": OutputQuery,
}
EXAMPLE: Final = re.compile(r"<!-- argument of (\w+) -->\n```json\n(.*?)```", re.DOTALL)
VARIABLE: Final = re.compile(
    r'(?:environ\.get\(|environ\[|environ\.setdefault\(|envvar=)\s*"([A-Za-z_]+)"'
    r'|"([A-Za-z_]+)" (?:not )?in os\.environ'
)
OURS_ALONE: Final = frozenset({"GIT_PYTHON_REFRESH", "PATH"})
"""Variables that nobody sets for the OET: one for GitPython, and what every program has."""
SOURCE: Final = tables.DOCS.parent / "src" / "ska_oso_oet"


def read(name: str) -> str:
    return (tables.DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("page", tables.pages(), ids=lambda page: str(page.relative_to(tables.DOCS.parent)))
def test_a_page_has_the_tables_of_the_present_code(page: Path) -> None:
    text = page.read_text("utf-8")
    assert tables.renewed(text, tables.TABLES) == text, "stale: run python -m docs.tables"


def test_every_table_is_in_a_page() -> None:
    asked_for = [
        name for page in tables.pages() for _, name, _ in tables.REGION.findall(page.read_text("utf-8"))
    ]
    assert sorted(asked_for) == sorted([*tables.TABLES, *tables.TANGO_TABLES])


def test_a_stale_table_is_renewed() -> None:
    stale = "before\n<!-- table: errors -->\n| old |\n<!-- end of table -->\nafter\n"
    text = tables.renewed(stale, tables.TABLES)
    assert "| old |" not in text
    assert "OET_NotFound" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


@pytest.mark.parametrize(("command", "argument"), EXAMPLE.findall(read("reference/tango-interface.md")))
def test_an_example_of_an_argument_is_accepted(command: str, argument: str) -> None:
    parsed = ARGUMENTS[command].parse(argument)
    assert set(json.loads(argument)) <= set(parsed.to_dict())


def test_every_command_has_an_example() -> None:
    assert {command for command, _ in EXAMPLE.findall(read("reference/tango-interface.md"))} == set(ARGUMENTS)


def test_every_way_to_end_is_explained() -> None:
    explained = re.findall(
        r"^\| `([a-z_ ]+)` \| (?:COMPLETE|FAILED|STOPPED) ", read("reference/procedures.md"), re.MULTILINE
    )
    assert sorted(explained) == sorted(get_args(ExitRecord.model_fields["cause"].annotation))


def test_every_environment_variable_that_the_code_names_is_explained() -> None:
    used = {
        name
        for module in SOURCE.rglob("*.py")
        for found in VARIABLE.findall(module.read_text("utf-8"))
        for name in found
        if name
    }
    assert {"OET_DEBUG", "SKA_TELESCOPE", "ORBendPoint", "OET_DEVICE"} <= used
    pages = "".join(page.read_text("utf-8") for page in (tables.DOCS / "reference").glob("*.md"))
    assert {name for name in used - OURS_ALONE if name not in pages} == set()


def test_every_decision_has_a_number_of_its_own_and_three_parts() -> None:
    records = sorted((tables.DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert len(set(numbers)) == len(numbers)
    for record, number in zip(records, numbers, strict=True):
        text = record.read_text("utf-8")
        assert text.startswith(f"# {number}. "), record.name
        parts = re.findall(r"^## (\w+)", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences"], record.name


def test_every_word_is_explained_once_and_told_apart() -> None:
    rows = re.findall(
        r"^\| ([A-Za-z ]+) \| (.+) \| (.+) \| (.+) \|$", read("reference/words.md"), re.MULTILINE
    )
    words = [word for word, *_ in rows if word != "word"]
    assert len(words) == len(set(words)) >= 20
    assert {"procedure", "procedure id", "list", "history", "journal", "command", "requester"} <= set(words)
