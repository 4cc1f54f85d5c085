"""Clones of real repositories in a directory of this machine, shared by real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.source.gitmanager import (
    CloneGone,
    GitArgs,
    GitError,
    GitManager,
    RepositoryNotAllowed,
    RepositoryUnreachable,
    UnknownBranch,
    UnknownCommit,
    script_path,
)

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 60.0
AUTHOR = {
    f"GIT_{role}_{part}": "oet@example.org" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")
}


class Origin:
    """A repository with something to clone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.first = self.commit("scripts/observe.py", "VERSION = 1\n")

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **AUTHOR, "GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, name: str, text: str) -> str:
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Change {name}")
        return self.git("rev-parse", "HEAD")

    def args(self, branch: str | None = None, commit: str | None = None) -> GitArgs:
        return GitArgs(git_repo=str(self.path), git_branch=branch, git_commit=commit)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "srv" / "project")


@pytest.fixture
def manager(tmp_path: Path) -> GitManager:
    return GitManager(tmp_path / "clones", [str(tmp_path / "srv")], timeout=DEADLINE)


def test_a_branch_a_tag_or_the_default_branch_means_its_tip(origin: Origin, manager: GitManager) -> None:
    origin.git("tag", "--annotate", "v1", "--message", "one")
    origin.git("tag", "plain")
    origin.git("checkout", "--quiet", "-b", "feature/new-scan")
    feature = origin.commit("scripts/observe.py", "VERSION = 2\n")
    origin.git("checkout", "--quiet", "main")
    for branch, commit in {
        "main": origin.first,
        "v1": origin.first,
        "plain": origin.first,
        "feature/new-scan": feature,
        None: origin.first,
    }.items():
        assert manager.resolve(origin.args(branch)) == commit


def test_a_branch_wins_over_a_tag_of_the_same_name(origin: Origin, manager: GitManager) -> None:
    origin.git("tag", "main")
    second = origin.commit("scripts/observe.py", "VERSION = 2\n")
    assert manager.resolve(origin.args("main")) == second


def test_a_commit_wins_over_a_branch_and_may_be_abbreviated(origin: Origin, manager: GitManager) -> None:
    origin.commit("scripts/observe.py", "VERSION = 2\n")
    for given in (origin.first, origin.first.upper(), origin.first[:8]):
        assert manager.resolve(origin.args("main", given)) == origin.first


@pytest.mark.parametrize("branch", ["mistyped", "--upload-pack=id", "ma*", "", "HEAD^"])
def test_an_unknown_branch_is_named_with_a_hint(origin: Origin, manager: GitManager, branch: str) -> None:
    with pytest.raises(UnknownBranch) as failure:
        manager.resolve(origin.args(branch))
    assert f"no branch or tag {branch!r}; its default branch is 'main'" in str(failure.value)
    assert failure.value.code == "OET_UnknownBranch"


@pytest.mark.parametrize("commit", ["0" * 40, "abcdef0", "main", "12", "--all", "HEAD"])
def test_an_unknown_commit_is_named(origin: Origin, manager: GitManager, commit: str) -> None:
    with pytest.raises(UnknownCommit, match=commit):
        manager.resolve(origin.args("main", commit))


def test_a_commit_that_no_branch_contains_is_refused(origin: Origin, manager: GitManager) -> None:
    # As a commit of a fork is, which the server of the original hands out all the same.
    foreign = origin.commit("scripts/observe.py", "VERSION = 'theirs'\n")
    origin.git("reset", "--quiet", "--hard", origin.first)
    assert origin.git("cat-file", "-t", foreign) == "commit"
    for given in (foreign, foreign[:10]):
        with pytest.raises(UnknownCommit, match=r"no branch or tag .* contains"):
            manager.clone(origin.args("main", given))


def test_an_empty_repository_has_no_branch(tmp_path: Path, manager: GitManager) -> None:
    empty = tmp_path / "srv" / "empty"
    subprocess.run(["git", "init", "--quiet", "--bare", str(empty)], check=True)
    for branch in ("main", None):
        with pytest.raises(UnknownBranch):
            manager.resolve(GitArgs(git_repo=str(empty), git_branch=branch))


def test_a_missing_repository_is_unreachable(tmp_path: Path, manager: GitManager) -> None:
    (tmp_path / "srv").mkdir()
    with pytest.raises(RepositoryUnreachable, match=r"srv/nothing.* does not (exist|appear to be)"):
        manager.resolve(GitArgs(git_repo=str(tmp_path / "srv" / "nothing")))


def test_a_repository_elsewhere_is_refused(tmp_path: Path, manager: GitManager) -> None:
    outside = Origin(tmp_path / "outside")
    for use in (manager.check, manager.resolve, manager.clone):
        with pytest.raises(RepositoryNotAllowed):
            use(outside.args("main"))


def test_a_clone_has_the_files_of_one_commit_and_no_history(origin: Origin, manager: GitManager) -> None:
    second = origin.commit("scripts/observe.py", "VERSION = 2\n")
    said: list[str] = []
    old = manager.clone(origin.args(commit=origin.first), report=said.append)
    new = manager.clone(origin.args("main"), report=said.append)
    assert script_path(old, "git:///scripts/observe.py").read_text() == "VERSION = 1\n"
    assert script_path(new, "git:///scripts/observe.py").read_text() == "VERSION = 2\n"
    assert said == [f"cloning file://{origin.path} at {commit}" for commit in (origin.first, second)]
    history = subprocess.run(["git", "rev-list", "HEAD"], cwd=new, capture_output=True, text=True, check=True)
    assert history.stdout.split() == [second]


def test_a_clone_is_made_once_and_needs_no_repository_afterwards(origin: Origin, manager: GitManager) -> None:
    by_commit = origin.args(commit=origin.first)
    clone = manager.clone(by_commit)
    origin.path.rename(origin.path.with_name("gone"))
    assert manager.clone(by_commit) == clone
    with pytest.raises(RepositoryUnreachable):
        manager.clone(origin.args("main"))


def test_a_copy_has_what_was_committed_whatever_has_become_of_the_clone(
    origin: Origin, manager: GitManager, tmp_path: Path
) -> None:
    clone = manager.clone(origin.args("main"), files=tmp_path / "first")
    (clone / "scripts" / "helper.py").write_text("VALUE = 'left behind'\n")
    script_path(clone, "git:///scripts/observe.py").write_text("VERSION = 'changed'\n")
    assert manager.clone(origin.args("main"), files=tmp_path / "second") == clone
    for copy in (tmp_path / "first", tmp_path / "second"):
        assert [path.relative_to(copy).as_posix() for path in copy.rglob("*")] == [
            "scripts",
            "scripts/observe.py",
        ]
        assert script_path(copy, "git:///scripts/observe.py").read_text() == "VERSION = 1\n"


def test_a_clone_from_which_no_copy_can_be_made_is_made_again(
    origin: Origin, manager: GitManager, tmp_path: Path
) -> None:
    clone = manager.clone(origin.args("main"))
    for part in (clone / ".git" / "objects").rglob("*"):
        if part.is_file():
            part.unlink()
    said: list[str] = []
    again = manager.clone(origin.args("main"), report=said.append, files=tmp_path / "copy")
    assert again != clone
    assert any(line.startswith("the clone is damaged") for line in said)
    assert script_path(tmp_path / "copy", "git:///scripts/observe.py").read_text() == "VERSION = 1\n"


def test_settings_and_hooks_of_the_user_play_no_part(
    origin: Origin, manager: GitManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "hook-ran"
    hooks = tmp_path / "home" / "template" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (hooks / "post-checkout").chmod(0o755)
    config = tmp_path / "home" / ".gitconfig"
    config.write_text(
        f"[init]\n templateDir = {hooks.parent}\n[core]\n hooksPath = {hooks}\n"
        '[url "/nowhere/"]\n insteadOf = file://\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nowhere/.git")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert manager.clone(origin.args("main")).is_dir()
    assert not ran.exists()


def test_idle_clones_beyond_the_limit_are_deleted(origin: Origin, tmp_path: Path) -> None:
    manager = GitManager(tmp_path / "clones", [str(tmp_path / "srv")], max_idle=1, recent_s=0.0)
    with manager.in_use(used := manager.clone(origin.args("main"))):
        origin.commit("scripts/observe.py", "VERSION = 2\n")
        idle = manager.clone(origin.args("main"))
        origin.commit("scripts/observe.py", "VERSION = 3\n")
        newest = manager.clone(origin.args("main"))
        assert (used.exists(), idle.exists(), newest.exists()) == (True, False, True)
    with pytest.raises(CloneGone), manager.in_use(idle):
        pass


CLONE = """
import pathlib, sys
from ska_oso_oet.source.gitmanager import GitArgs, GitManager
clones, allowed, repository = sys.argv[1:]
manager = GitManager(pathlib.Path(clones), [allowed])
args = GitArgs(git_repo=repository, git_branch="main")
print(manager.clone(args, report=lambda line: print(line, flush=True)))
"""
SLOW_GIT = """#!/bin/sh
case "$1" in fetch) echo $$ > "{started}"; read go < "{gate}";; esac
exec "{git}" "$@"
"""


def start_clone(tmp_path: Path, origin: Origin, path: str | None = None) -> subprocess.Popen[str]:
    arguments = [str(tmp_path / "clones"), str(tmp_path / "srv"), str(origin.path)]
    environment = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.Popen(
        [sys.executable, "-c", CLONE, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_processes_that_want_the_same_clone_make_it_once(origin: Origin, tmp_path: Path) -> None:
    processes = [start_clone(tmp_path, origin) for _ in range(6)]
    outputs = [process.communicate(timeout=DEADLINE)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, outputs
    assert len({lines[-1] for lines in outputs}) == 1
    assert sum(line.startswith("cloning") for lines in outputs for line in lines) == 1


def test_when_the_cloning_process_is_killed_the_next_one_takes_over(origin: Origin, tmp_path: Path) -> None:
    started, gate = tmp_path / "started", tmp_path / "gate"
    os.mkfifo(started)
    os.mkfifo(gate)
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True)
    slow.write_text(SLOW_GIT.format(started=started, gate=gate, git=real.stdout.strip()))
    slow.chmod(0o755)

    first = start_clone(tmp_path, origin, f"{slow.parent}:{os.environ['PATH']}")
    assert first.stdout
    started.read_text()  # the fetch has begun, and will not go on
    second = start_clone(tmp_path, origin)
    assert second.stdout
    assert second.stdout.readline().startswith("waiting for another process")
    os.killpg(first.pid, signal.SIGKILL)
    output, _ = second.communicate(timeout=DEADLINE)
    first.communicate(timeout=DEADLINE)

    assert second.returncode == 0, output
    manager = GitManager(tmp_path / "clones", [str(tmp_path / "srv")])
    clone = manager.clone(origin.args("main"))
    assert str(clone) == output.splitlines()[-1]
    assert script_path(clone, "git:///scripts/observe.py").exists()
    manager.trim()
    assert len(list((tmp_path / "clones").glob("*~*"))) == 1


def test_without_git_the_failure_says_so(
    origin: Origin, manager: GitManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(GitError, match="git is not installed"):
        manager.resolve(origin.args("main"))


def test_a_directory_that_cannot_be_written_is_a_failure_with_its_reason(
    origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    manager = GitManager(tmp_path / "file" / "clones", [str(tmp_path / "srv")])
    with pytest.raises(GitError, match=r"cannot be cloned: .*file/clones"):
        manager.clone(origin.args("main"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_repository_of_another_user_is_used_where_git_is_told_that_it_is_safe(
    origin: Origin, manager: GitManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (origin.path, *origin.path.rglob("*")):
        os.chown(path, 54321, 54321)
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\thooksPath = /nowhere\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    with pytest.raises(RepositoryUnreachable, match="dubious ownership"):
        manager.clone(origin.args("main"))
    settings.write_text(f"[safe]\n\tdirectory = /it's another\n\tdirectory = {origin.path}\n")
    with pytest.raises(RepositoryUnreachable, match="dubious ownership"):
        manager.clone(origin.args("main"))
    settings.write_text(f"[safe]\n\tdirectory = /it's another\n\tdirectory = {origin.path}/.git\n")
    assert (manager.clone(origin.args("main")) / "scripts" / "observe.py").is_file()
    assert manager.resolve(origin.args("main", origin.first[:8])) == origin.first
