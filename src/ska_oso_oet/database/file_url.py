"""How a file is named as the place of a history."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path


def file_url(file: Path) -> str:
    """Write a path as HistoryUrl: what means something in a URL, such as % and ?, is encoded."""
    return f"sqlite:///{quote(str(file))}"
