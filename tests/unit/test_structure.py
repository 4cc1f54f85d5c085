"""The structure of the package: its contracts hold, and an import against the architecture breaks one."""

from __future__ import annotations

import importlib
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from docs.structure import PICTURE, picture, rooms
from docs.tables import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grimp import ImportGraph
    from importlinter.domain.contract import Contract

ROOT: Final = DOCS.parent
PACKAGE: Final = "ska_oso_oet"
KINDS: Final[dict[str, type[Contract]]] = {"forbidden": ForbiddenContract, "layers": LayersContract}
CONFIGURATION: Final = read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS: Final[list[dict[str, Any]]] = CONFIGURATION["contracts_options"]
WRONG: Final = [
    ("history.store", f"{PACKAGE}.device.controller"),
    ("history.store", "fastapi"),
    ("ska.base_device", f"{PACKAGE}.procedure.application"),
    ("task.tracker", f"{PACKAGE}.procedure.domain"),
    ("cli.app", f"{PACKAGE}.rest.app"),
    ("scripting.watch", f"{PACKAGE}.device.controller"),
    ("oda.filesystem", f"{PACKAGE}.worker.pool"),
    ("procedure.domain", f"{PACKAGE}.event.bus"),
    ("procedure.record", f"{PACKAGE}.ska.base_device"),
    ("rest.backend", f"{PACKAGE}.procedure.application"),
]


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)


def broken(graph: ImportGraph) -> Iterator[str]:
    for options in CONTRACTS:
        contract = KINDS[options["type"]](options["name"], CONFIGURATION["session_options"], options)
        # A check takes the imports that it ignores out of the graph.
        if not contract.check(deepcopy(graph), verbose=False).kept:
            yield contract.name


def test_the_contracts_hold(graph: ImportGraph) -> None:
    assert list(broken(graph)) == []


@pytest.mark.parametrize(("importer", "imported"), WRONG)
def test_an_import_against_the_architecture_breaks_lint(
    importer: str, imported: str, graph: ImportGraph
) -> None:
    assert {f"{PACKAGE}.{importer}", imported} <= graph.modules
    wrong = deepcopy(graph)
    wrong.add_import(importer=f"{PACKAGE}.{importer}", imported=imported)
    assert list(broken(wrong))


def test_a_room_that_no_layer_names_breaks_lint(graph: ImportGraph) -> None:
    larger = deepcopy(graph)
    larger.add_module(f"{PACKAGE}.attic")
    assert list(broken(larger)) == ["imports point down, and packages of one layer do not import each other"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("activity.application", "ActivityService"),
        ("procedure.application", "ScriptExecutionService"),
        ("procedure.domain", "Procedure"),
        ("procedure.environment", "EnvironmentManager"),
        ("procedure.gitmanager", "GitManager"),
        ("mptools", "MainContext"),
        ("tango", "TangoExecutor"),
    ],
)
def test_the_documented_import_paths_lead_to_what_they_name(path: str, name: str) -> None:
    assert hasattr(importlib.import_module(f"{PACKAGE}.{path}"), name)


def test_the_picture_is_that_of_the_present_imports() -> None:
    assert PICTURE.read_text("utf-8") == picture(), "stale: run python -m docs.tables"


def test_every_room_has_one_sentence_about_itself() -> None:
    for name, purpose in rooms():
        assert purpose.count(".") >= 1, name
        assert purpose.endswith("."), name
