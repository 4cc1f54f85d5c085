"""What is checked is what was opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import Rejected, ScriptNotAllowed
from ska_oso_oet.source.git_url import AllowedRepositories
from ska_oso_oet.source.script import FileSystemScript
from ska_oso_oet.source.script_file import ScriptUnreadable, read_script
from ska_oso_oet.source.script_policy import ScriptPolicy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "good.py").write_text("GOOD = 1\n")
    (tmp_path / "outside.py").write_text("BAD = 1\n")
    return tmp_path / "scripts"


def test_a_file_and_a_link_within_the_roots_are_read(root: Path) -> None:
    (root / "link.py").symlink_to("good.py")
    for name in ("good.py", "link.py"):
        assert read_script(root / name, [root]) == (b"GOOD = 1\n", root / "good.py")


@pytest.mark.parametrize("way", ["link.py", "folder/outside.py", "../outside.py"])
def test_what_leads_out_of_the_roots_is_refused_once_it_is_open(root: Path, way: str) -> None:
    (root / "link.py").symlink_to(root.parent / "outside.py")
    (root / "folder").symlink_to(root.parent)
    with pytest.raises(ScriptNotAllowed, match="outside the directories"):
        read_script(root / way, [root])
    assert read_script(root / way, None).source == b"BAD = 1\n"


def test_a_link_that_has_changed_since_it_was_checked_does_not_count(root: Path) -> None:
    link = root / "flip.py"
    link.symlink_to("good.py")
    policy = ScriptPolicy([root], AllowedRepositories([]), embedded_allowed=False)
    policy.check(FileSystemScript(script_uri=link.as_uri()))
    link.unlink()
    link.symlink_to(root.parent / "outside.py")
    with pytest.raises(ScriptNotAllowed, match=r"flip.py is outside"):
        read_script(link, [root])


@pytest.mark.parametrize("name", ["nothing.py", "good.py/x.py", "dangling.py"])
def test_a_script_that_is_not_there_is_refused_before_anything_is_created(root: Path, name: str) -> None:
    (root / "dangling.py").symlink_to("nothing.py")
    policy = ScriptPolicy([root], AllowedRepositories([]), embedded_allowed=False)
    with pytest.raises(Rejected, match=f"there is no script {root / name}$"):
        policy.check(FileSystemScript(script_uri=(root / name).as_uri()))
    policy.check(FileSystemScript(script_uri=root.as_uri()))


def test_what_is_no_file_is_named(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    for name, said in (
        ("nothing.py", "there is no script"),
        ("good.py/x.py", "there is no script"),
        ("pipe.py", "is no file"),
        (".", "is no file"),
        ("x" * 300, "cannot be read"),
    ):
        with pytest.raises(ScriptUnreadable, match=said):
            read_script(root / name, [root])
