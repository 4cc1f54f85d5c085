"""Made once, kept while used, deleted when idle: the rules, within one process."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.source.directory_cache import DirectoryCache
from ska_oso_oet.source.git_errors import GitError, RepositoryUnreachable

if TYPE_CHECKING:
    from pathlib import Path

LONG_AGO = 1_000_000_000


def cache_of(root: Path, max_idle: int = 5, recent_s: float = 0.0) -> DirectoryCache:
    return DirectoryCache(root, max_idle, GitError, recent_s=recent_s)


def write(directory: Path) -> None:
    (directory / "file").write_text("made")


def refuse(_directory: Path) -> None:
    raise AssertionError("made although it is there")


def used_at(content: Path, moment: float) -> Path:
    os.utime(content.parent / "lock", (moment, moment))
    return content


def test_a_directory_is_made_once(tmp_path: Path) -> None:
    cache = cache_of(tmp_path / "new" / "root")
    made = cache.get("key", write)
    assert (made / "file").read_text() == "made"
    assert cache.get("key", refuse) == made
    assert cache.find("key") == made
    assert cache.find("other") is None


def test_a_failure_leaves_nothing_behind_and_the_next_request_tries_again(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)

    def fail(directory: Path) -> None:
        write(directory)
        raise RepositoryUnreachable("no route")

    with pytest.raises(RepositoryUnreachable, match="no route"):
        cache.get("key", fail)
    assert cache.find("key") is None
    assert not list(tmp_path.glob("*~*"))
    assert cache.get("key", write).is_dir()


def test_what_is_no_longer_valid_is_made_again_beside_its_users(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    first = cache.get("key", write)
    with cache.in_use(first):
        second = cache.get("key", write, valid=lambda path: path != first)
        assert second != first
        assert (first / "file").exists()
    cache.trim()
    assert not first.exists()
    assert cache.get("key", refuse) == second


def test_the_least_recently_used_idle_ones_are_deleted(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, max_idle=2)
    made = {key: used_at(cache_of(tmp_path).get(key, write), LONG_AGO) for key in ("a", "b", "c", "d", "e")}
    for age, key in enumerate(("e", "a", "d", "b", "c")):
        used_at(made[key], LONG_AGO - age)
    with cache.in_use(made["c"]):
        cache.trim()
        assert {key for key, path in made.items() if path.exists()} == {"e", "a", "c"}
    cache.trim()
    assert {key for key, path in made.items() if path.exists()} == {"e", "a"}
    assert cache.find("c") is None
    assert not list(tmp_path.glob(".deleted~*"))


def test_a_use_makes_a_directory_young_again(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, max_idle=1)
    old, new = (used_at(cache_of(tmp_path).get(key, write), LONG_AGO) for key in ("old", "new"))
    assert cache.find("old") == old
    cache.trim()
    assert old.exists()
    assert not new.exists()


def test_what_has_just_been_used_is_kept_beyond_the_limit(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, max_idle=0, recent_s=3600.0)
    made = cache.get("key", write)
    cache.trim()
    assert made.exists()
    used_at(made, LONG_AGO)
    cache.trim()
    assert not made.exists()


def test_a_deleted_directory_cannot_be_held(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, max_idle=0)
    made = used_at(cache_of(tmp_path).get("key", write), LONG_AGO)
    cache.trim()
    with pytest.raises(FileNotFoundError), cache.in_use(made):
        pass


def test_several_users_hold_one_directory(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, max_idle=0)
    with ExitStack() as users:
        made = cache.get("key", lambda path: None)
        # deleted at once with max_idle=0 and nothing recent, so made again to be held
        assert not made.exists()
        kept = cache_of(tmp_path).get("key", write)
        with cache.in_use(kept), cache.in_use(kept):
            cache.trim()
        users.enter_context(cache_of(tmp_path).in_use(cache_of(tmp_path).get("key", write)))
        cache.trim()
        assert cache.find("key") is not None


def test_what_a_killed_process_left_is_cleaned_up(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    (tmp_path / "key~abandoned" / "content").mkdir(parents=True)
    (tmp_path / ".deleted~half" / "content").mkdir(parents=True)
    (tmp_path / "other.build").touch()
    made = cache.get("key", write)
    assert [path for path in tmp_path.iterdir() if path.is_dir() and not path.is_symlink()] == [made.parent]
    assert not (tmp_path / "other.build").exists()
