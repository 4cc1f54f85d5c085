"""Directories of the user are looked for only where they are needed: not every user has a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platformdirs import user_cache_path, user_data_path

from ska_oso_oet.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PROGRAM = "ska-oso-oet"


def data_directory(otherwise: str) -> Path:
    """Name the directory for a user's data; `otherwise` is what names another one.

    Raises InvalidArgument, with this reason, for a user who has no home directory.
    """
    return _of_the_user(lambda: user_data_path(_PROGRAM), otherwise)


def cache_directory(otherwise: str) -> Path:
    """Name the directory for what can be made anew; as `data_directory`."""
    return _of_the_user(lambda: user_cache_path(_PROGRAM), otherwise)


def absolute(path: Path) -> Path:
    """Make a path absolute, with `~` for the home directory; raises InvalidArgument where there is none."""
    return _of_the_user(path.expanduser, "a path without ~").absolute()


def _of_the_user(find: Callable[[], Path], otherwise: str) -> Path:
    try:
        return find()
    except RuntimeError:  # what pathlib and platformdirs raise
        raise InvalidArgument(f"this user has no home directory; give {otherwise}") from None
