"""Modules and classes stay small, classes have names of their own, and modules begin with a sentence."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from docs.structure import SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_MODULE: Final = 300
MAX_CLASS: Final = 200

LARGE: Final = {
    "event/topics.py": "a table of all topics with their data, one class each, as pypubsub reads them",
}
"""Modules and classes that may be larger, with the reason."""

SAME_NAME: Final = {
    "Calls": "the client's and the HTTP API's calls of the controller, each private to its package",
    "Event": "an event as the journal has it, and as a client reads it",
    "Procedure": "a procedure, and the resource of the HTTP API that shows it under the documented name",
    "Activity": "an activity, and the resource of the HTTP API that shows it under the documented name",
    "CentralNode": "the device as a script sees it, and the simulated device",
}
"""Names that several classes have, with the reason."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(SOURCE.rglob("*.py")):
        # Observing scripts belong to their users.
        if file.relative_to(SOURCE).parts[0] not in {"scripts", "devices"}:
            yield file, ast.parse(file.read_text("utf-8"))


MODULES: Final = list(modules())


def classes() -> Iterator[tuple[Path, ast.ClassDef]]:
    for file, module in MODULES:
        yield from ((file, node) for node in module.body if isinstance(node, ast.ClassDef))


def test_modules_and_classes_stay_small() -> None:
    large = {
        str(file.relative_to(SOURCE))
        for file, _ in MODULES
        if len(file.read_text("utf-8").splitlines()) > MAX_MODULE
    } | {found.name for _, found in classes() if (found.end_lineno or 0) - found.lineno >= MAX_CLASS}
    assert large == LARGE.keys()


def test_a_class_has_a_name_of_its_own() -> None:
    # The classes of topics are the words of their names.
    names = Counter(
        found.name for file, found in classes() if not found.name.startswith("_") and file.stem != "topics"
    )
    assert {name for name, count in names.items() if count > 1} == SAME_NAME.keys()


@pytest.mark.parametrize(
    ("file", "module"), MODULES, ids=[str(file.relative_to(SOURCE)) for file, _ in MODULES]
)
def test_a_module_begins_with_a_sentence(file: Path, module: ast.Module) -> None:
    sentence = (ast.get_docstring(module) or "").split("\n\n")[0]
    assert sentence.endswith((".", "::")), file
    assert len(sentence.split()) >= 4, file
    assert not sentence.startswith(("What ", "How ", "Who ", "Which ", "Whether ")), file
