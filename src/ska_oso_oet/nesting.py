"""JSON of a few levels can be read by everyone; how many are too many is found here without recursion."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SHOWN: Final = 100
"""Levels of what is shown to others or stored: libraries read some 200, and it becomes part of more."""

MAX_SENT: Final = 500
"""Levels of what processes of the OET send each other, around arguments that a request may have."""


def is_nested_deeper(value: object, levels: int) -> bool:
    """Return whether a JSON value has more than so many levels of lists and objects in each other."""
    found: Iterable[object] = [value]
    for _ in range(levels + 1):
        with_parts = [each for each in found if isinstance(each, dict | list | tuple)]
        if not with_parts:
            return False
        found = chain.from_iterable(each.values() if isinstance(each, dict) else each for each in with_parts)
    return True
