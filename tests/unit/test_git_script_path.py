"""Where a git://path leads in a clone, and where it must not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.source.gitmanager import MissingPath, script_path

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    (clone / ".git").mkdir()
    (clone / ".git" / "config").touch()
    (clone / "scripts" / "observe.py").touch()
    (clone / "scripts" / "two words.py").touch()
    (clone / "latest.py").symlink_to("scripts/observe.py")
    (tmp_path / "outside.py").touch()
    (clone / "escape.py").symlink_to("../outside.py")
    (clone / "out").symlink_to("..")
    (clone / "loop.py").symlink_to("loop.py")
    return clone


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("git:///scripts/observe.py", "scripts/observe.py"),
        ("git://scripts/observe.py", "scripts/observe.py"),
        ("git://latest.py", "scripts/observe.py"),
        ("git:////scripts//./observe.py", "scripts/observe.py"),
        ("git:///scripts/two%20words.py", "scripts/two words.py"),
        ("git:///latest.py", "scripts/observe.py"),
    ],
)
def test_a_path_leads_to_a_file_of_the_repository(clone: Path, uri: str, file: str) -> None:
    assert script_path(clone, uri) == clone / file


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("git:///scripts/missing.py", "no file /scripts/missing.py"),
        ("git:///scripts", "no file"),
        ("git:///../outside.py", "leads out"),
        ("git:///scripts/%2e%2e/../outside.py", "leads out"),
        ("git:///escape.py", "leads out"),
        ("git:///out/outside.py", "leads out"),
        ("git:///loop.py", "no file"),
        ("git:///.git/config", "leads out"),
        ("git://host/scripts/observe.py", "no file host/scripts/observe.py"),
        ("git://../outside.py", "leads out"),
        ("git://.git/config", "leads out"),
        ("git://", "is not a git://"),
        ("file:///scripts/observe.py", "is not a git://"),
        ("/scripts/observe.py", "is not a git://"),
        ("git:///scripts/observe.py\0", "is not a git://"),
        ("git:///scripts/observe.py%00", "is not a git://"),
    ],
)
def test_any_other_path_is_refused(clone: Path, uri: str, reason: str) -> None:
    with pytest.raises(MissingPath, match=reason):
        script_path(clone, uri)
