"""Damaged rows are left out and named, with their file and what an operator can do."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

_NAMED: Final = 5
"""Rows that are named in one message at most."""


class DamagedRow(Exception):
    """A row whose JSON cannot be read."""


def decoded(text: str) -> dict[str, Any]:
    """Read the JSON of a row; raises DamagedRow."""
    try:
        content = json.loads(text)
    except (ValueError, TypeError) as error:
        raise DamagedRow(f"no JSON ({error})") from None
    if not isinstance(content, dict):
        raise DamagedRow("no JSON object")
    return content


class Damage:
    """The damaged rows that were met; `on_change` is called after each."""

    def __init__(self, database_name: str, on_change: Callable[[], None]) -> None:
        self._name = database_name
        self._on_change = on_change
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, int], str] = {}

    def note(self, table: sa.Table, number: int, why: object) -> str:
        """Note a row; returns a sentence about it, with what an operator can do."""
        with self._lock:
            self._rows[table.name, number] = str(why)
        self._on_change()
        return self._sentence({(table.name, number): str(why)})

    def health(self) -> str | None:
        """Describe which rows are damaged, None where none was met."""
        with self._lock:
            rows = dict(self._rows)
        return self._sentence(rows) if rows else None

    def _sentence(self, rows: dict[tuple[str, int], str]) -> str:
        named = [f"{table} id {number}: {why}" for (table, number), why in sorted(rows.items())]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        table, number = min(rows)
        listed = "; ".join(named[:_NAMED]) + more
        return (
            f"the history {self._name} has damaged rows, which are left out ({listed}); "
            f"each can be deleted where its file is, such as id {number} of {table}"
        )
