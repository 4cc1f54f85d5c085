"""A stack on a full disk says which directory is meant, before it starts anything."""

from __future__ import annotations

import resource
import subprocess
from typing import TYPE_CHECKING

from ska_oso_oet.embedded.room import need_room
from ska_oso_oet.resources import program

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_at_start_names_the_path(tmp_path: Path) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    data_dir = tmp_path / "data"
    done = subprocess.run(
        [program("oet"), "up", "--port=0", f"--data-dir={data_dir}"],
        preexec_fn=fill,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"oet up: data directory {data_dir} cannot be used: File too large\n"


def test_room_that_is_there_is_left_as_it_was(tmp_path: Path) -> None:
    need_room(tmp_path)
    assert list(tmp_path.iterdir()) == []
