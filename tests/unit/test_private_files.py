"""Files for their user alone, whatever the umask says, and whatever they were before."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.private_files import make_private_directory, make_private_file, making_private_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_ones(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")
    make_private_file(tmp_path / "a" / "b" / "file")
    assert (mode(tmp_path / "a" / "b"), mode(tmp_path / "a" / "b" / "file")) == (0o700, 0o600)


def test_ones_that_are_there_keep_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("kept")
    make_private_directory(tmp_path / "a")
    make_private_file(tmp_path / "a" / "file")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "file")) == (0o700, 0o600)
    assert (tmp_path / "a" / "file").read_text() == "kept"


def test_what_is_made_meanwhile(tmp_path: Path) -> None:
    with making_private_files() as before:
        (tmp_path / "meanwhile").write_text("")
    (tmp_path / "afterwards").write_text("")
    assert (before, mode(tmp_path / "meanwhile"), mode(tmp_path / "afterwards")) == (0, 0o600, 0o666)
