"""A file is named as the place of a history by a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

_SQLITE: Final = "sqlite:///"


def file_url(file: Path) -> str:
    """Write a path as HistoryUrl: what means something in a URL, such as % and ?, is encoded."""
    return f"{_SQLITE}{quote(str(file))}"


def file_of(url: str) -> Path | None:
    """Read the path of a history that is a file; None for any other."""
    return Path(unquote(url.removeprefix(_SQLITE))) if url.startswith(_SQLITE) else None
