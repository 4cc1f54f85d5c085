"""The directory of a stack's data is used by one stack at a time."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ska_oso_oet.embedded.child import StackError
from ska_oso_oet.embedded.room import need_room
from ska_oso_oet.held_file import Held, HeldFile
from ska_oso_oet.private_files import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Make the directory and hold it: two stacks would write to the same database."""
    try:
        if not data_dir.exists() or (data_dir / "lock").exists() or not any(data_dir.iterdir()):
            make_private_directory(data_dir)  # one that holds something else, too, is its user's affair
        for part in ("devices", "logs", "registered"):
            make_private_directory(data_dir / part)
        need_room(data_dir)
        held = HeldFile(data_dir / "lock", f"process {os.getpid()}")
    except OSError as error:
        raise StackError(f"data directory {data_dir} cannot be used: {error.strerror}") from None
    except Held as error:
        raise StackError(
            f"data directory {data_dir} is in use by another stack ({error}); choose another with --data-dir"
        ) from None
    try:
        yield
    finally:
        held.release()
