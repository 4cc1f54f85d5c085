"""The names of the topics are read from the tree here, without pypubsub."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from ska_oso_oet.event import topics

if TYPE_CHECKING:
    from collections.abc import Iterator


def topic_names() -> frozenset[str]:
    """Name every topic of the tree, in dotted form."""
    return frozenset(_walk(topics, ()))


def _walk(node: object, path: tuple[str, ...]) -> Iterator[str]:
    for name, member in vars(node).items():
        if inspect.isclass(member):
            yield ".".join((*path, name))
            yield from _walk(member, (*path, name))
