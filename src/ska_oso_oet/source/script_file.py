"""A script's file is opened once: what is checked is what was opened, and that is what is run."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ska_oso_oet.errors import OetError, ScriptNotAllowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class ScriptUnreadable(OetError):
    """A script cannot be loaded: there is no such file, or it has no `main` that can be called."""

    code = "OET_ScriptUnreadable"


class ScriptFile(NamedTuple):
    """A script's source, and where it was found once links are followed."""

    source: bytes
    place: Path


def require_within(path: Path, place: Path, roots: Iterable[Path]) -> None:
    """Raise ScriptNotAllowed unless `place`, which `path` has led to, is below one of `roots`."""
    allowed = list(roots)
    if not any(place.is_relative_to(root) for root in allowed):
        raise ScriptNotAllowed(
            f"{path} is outside the directories that scripts may come from (property ScriptRoots): "
            f"{', '.join(str(root) for root in allowed) or 'none'}"
        )


def read_script(path: Path, roots: Sequence[Path] | None) -> ScriptFile:
    """Read a script; its place is that of the open file: links that change meanwhile do not count.

    Raises ScriptNotAllowed for one outside `roots` (None: it may be anywhere), and ScriptUnreadable.
    """
    try:
        # Whoever opens a pipe without O_NONBLOCK waits for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise ScriptUnreadable(f"there is no script {path}") from None
    except OSError as error:
        raise ScriptUnreadable(f"{path} cannot be read: {error.strerror}") from None
    try:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        if roots is not None:
            require_within(path, place, roots)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ScriptUnreadable(f"{path} is no file")
        with open(descriptor, "rb", closefd=False) as file:
            return ScriptFile(file.read(), place)
    finally:
        os.close(descriptor)
