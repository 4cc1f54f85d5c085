"""The topics that the reference lists are those on which the controller publishes, neither more nor fewer."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import ska_oso_oet
from docs.tables import UNPUBLISHED
from ska_oso_oet.event.journal import is_reserved
from ska_oso_oet.event.tree import topic_names

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISHERS = ("procedure/announcer.py", "activity/runner.py")
ACTIONS = ("create", "start", "stop")


def texts(file: Path) -> Iterator[str]:
    """Find the texts of a module, and the parts of those that are put together."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def published() -> set[str]:
    root = Path(str(ska_oso_oet.__file__)).parent
    found = {text for name in PUBLISHERS for text in texts(root / name)}
    assert "request.procedure." in found
    return found | {f"request.procedure.{action}" for action in ACTIONS}


def test_the_controller_publishes_on_all_that_are_its_own_but_those_that_are_struck() -> None:
    own = {name for name in topic_names() if is_reserved(name) or name.startswith("procedure.lifecycle")}
    leaves = {name for name in own if not any(other.startswith(name + ".") for other in own)}
    assert leaves - published() == set(UNPUBLISHED)
    assert not published() & set(UNPUBLISHED)
