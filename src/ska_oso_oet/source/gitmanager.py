"""GitManager finds which commit a request means, makes a clone of it, and a copy for each run.

Plain synchronous code for a process of its own: it may be killed at any instant and leaves nothing that a
later call would mistake for a clone.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ska_oso_oet.source.directory_cache import RECENT_S, DirectoryCache, no_message
from ska_oso_oet.source.git_command import GitCommand
from ska_oso_oet.source.git_errors import (
    CloneGone,
    GitError,
    GitTimeout,
    MissingPath,
    RepositoryNotAllowed,
    RepositoryUnreachable,
    UnknownBranch,
    UnknownCommit,
)
from ska_oso_oet.source.git_url import AllowedRepositories, Repository, redacted
from ska_oso_oet.source.script import GitArgs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "CloneGone",
    "GitArgs",
    "GitError",
    "GitManager",
    "GitTimeout",
    "MissingPath",
    "RepositoryNotAllowed",
    "RepositoryUnreachable",
    "UnknownBranch",
    "UnknownCommit",
    "redacted",
    "script_path",
]

_HASH: Final = re.compile(r"[0-9a-f]{7,40}")
_FULL_HASH: Final = 40
_BRANCHES_AND_TAGS: Final = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


class GitManager:
    """Clones of allowed repositories, one directory for each repository and commit.

    `max_idle` clones are kept when no process uses them; `timeout` (s) bounds each exchange with a
    repository.
    """

    def __init__(
        self,
        clones_dir: Path,
        allowed_prefixes: Iterable[str],
        *,
        max_idle: int = 20,
        timeout: float = 300.0,
        recent_s: float = RECENT_S,
        scratch: Path | None = None,
    ) -> None:
        self._scratch = scratch
        self._allowed = AllowedRepositories(allowed_prefixes)
        self._clones = DirectoryCache(clones_dir, max_idle, GitError, recent_s=recent_s)
        self._timeout = timeout

    def check(self, git_args: GitArgs) -> None:
        """Raise RepositoryNotAllowed unless the repository may be used; contacts nothing."""
        self._allowed.check(git_args.git_repo)

    def resolve(self, git_args: GitArgs) -> str:
        """Return the full hash of the commit that is meant: `git_commit`, else the tip of a branch or tag.

        A commit must be part of a branch or tag: servers also hand out commits of forks of a repository,
        which anyone may have written.
        """
        repository = self._allowed.check(git_args.git_repo)
        with tempfile.TemporaryDirectory(prefix="git-", dir=self._scratch) as scratch:
            git = GitCommand(Path(scratch), repository, self._timeout)
            if git_args.git_commit is None:
                return _tip(git, repository, git_args.git_branch)
            commit = git_args.git_commit.strip().lower()
            if not _HASH.fullmatch(commit):
                raise UnknownCommit(f"{git_args.git_commit!r} is not a commit hash of 7 to 40 hex digits")
            if len(commit) == _FULL_HASH and self._clones.find(_key(repository, commit)):
                return commit  # it has been checked when it was cloned
            return _checked_commit(git, repository, commit)

    def clone(
        self,
        git_args: GitArgs,
        commit: str | None = None,
        report: Callable[[str], None] = no_message,
        *,
        files: Path | None = None,
    ) -> Path:
        """Return a clone with the files of a commit: `commit`, as `resolve` returned it, if there is one.

        Processes that want the same clone at once share it. The directory stays for at least a minute;
        hold it with `in_use` for longer. What was committed is written to the directory `files` as well,
        which is the caller's own.
        """
        repository = self._allowed.check(git_args.git_repo)
        commit = commit or self.resolve(git_args)

        def make(directory: Path) -> None:
            report(f"cloning {repository.url} at {commit}")
            git = GitCommand(directory, repository, self._timeout)
            _fetch(git, repository, commit, report)
            _write_files(git, files)

        def copied(directory: Path) -> bool:
            try:
                _write_files(GitCommand(directory, repository, self._timeout), files)
            except GitTimeout:
                raise
            except GitError as error:
                report(f"the clone is damaged ({error}): cloning it again")
                return False
            return True

        try:
            return self._clones.get(_key(repository, commit), make, valid=copied, report=report)
        except OSError as error:  # no space, no permission
            raise GitError(f"repository {repository.url} cannot be cloned: {error}") from error

    @contextmanager
    def in_use(self, clone: Path) -> Iterator[None]:
        """Keep a clone from being deleted; raises CloneGone if it has been."""
        try:
            with self._clones.in_use(clone):
                yield
        except FileNotFoundError:
            if clone.exists():
                raise
            raise CloneGone(f"clone {clone} has been deleted") from None

    def trim(self) -> None:
        """Delete idle clones beyond the limit, and what killed processes left behind."""
        self._clones.trim()


def script_path(clone: Path, script_uri: str) -> Path:
    """Return the file that `git://path/in/the/repository.py` names in a clone; raise MissingPath.

    Two slashes or three make no difference: a path in a repository has no host and no root but its own.
    """
    scheme, _, path = script_uri.partition("://")
    path = unquote(path)
    if scheme != "git" or not path or "\0" in path:
        raise MissingPath(f"{script_uri!r} is not a git://path/in/the/repository.py URI")
    root = clone.resolve()
    try:
        file = (root / path.lstrip("/")).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links that lead in a circle, until Python 3.12
        raise MissingPath(f"the commit has no file {path}") from None
    if not file.is_relative_to(root) or file.is_relative_to(root / ".git"):
        raise MissingPath(f"{path} leads out of the repository")
    if not file.is_file():
        raise MissingPath(f"the commit has no file {path}")
    return file


def _key(repository: Repository, commit: str) -> str:
    return f"{hashlib.sha256(repository.url.encode()).hexdigest()[:16]}-{commit}"


def _contact(git: GitCommand, repository: Repository, *arguments: str) -> str:
    try:
        return git(*arguments)
    except GitTimeout:
        raise
    except GitError as error:
        raise RepositoryUnreachable(f"repository {repository.url} cannot be read: {error}") from None


def _refs(git: GitCommand, repository: Repository, *patterns: str) -> dict[str, str]:
    """Return the hashes of the repository's references by name, and what HEAD stands for under `ref`."""
    lines = _contact(git, repository, "ls-remote", "--symref", "--", repository.url, *patterns).splitlines()
    refs: dict[str, str] = {}
    for target, _, name in (line.partition("\t") for line in lines):
        if target.startswith("ref: "):
            refs["ref"] = target.removeprefix("ref: ")
        else:
            refs[name] = target
    return refs


def _tip(git: GitCommand, repository: Repository, branch: str | None) -> str:
    names = ["HEAD"]
    if branch is not None:
        # An annotated tag is an object of its own; `^{}` names the commit that it is for.
        names = [f"refs/heads/{branch}", f"refs/tags/{branch}^{{}}", f"refs/tags/{branch}"]
    refs = _refs(git, repository, "HEAD", *names)
    for name in names:
        if name in refs:
            return refs[name]
    if branch is None:
        raise UnknownBranch(f"repository {repository.url} has no commit on its default branch")
    hint = f"; its default branch is {refs['ref'].removeprefix('refs/heads/')!r}" if "ref" in refs else ""
    raise UnknownBranch(f"repository {repository.url} has no branch or tag {branch!r}{hint}")


def _checked_commit(git: GitCommand, repository: Repository, commit: str) -> str:
    """Return the full hash of a commit that a branch or tag contains."""
    if commit in _refs(git, repository, "refs/heads/*", "refs/tags/*").values():
        return commit
    git("init", "--quiet", "--template=")
    # The history without any files. A server that cannot leave them out sends them too.
    _contact(
        git, repository, "fetch", "--quiet", "--filter=tree:0", "--", repository.url, *_BRANCHES_AND_TAGS
    )
    try:
        full = git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").strip()
        if git("for-each-ref", "--count=1", "--contains", full):
            return full
    except GitTimeout:
        raise
    except GitError:
        pass  # no such object, or an abbreviation of several
    raise UnknownCommit(f"no branch or tag of repository {repository.url} contains one commit {commit}")


def _write_files(git: GitCommand, files: Path | None) -> None:
    """Write what was committed, whatever has become of the files beside git's own."""
    if files is not None:
        files.mkdir(exist_ok=True)
        git("checkout-index", "--all", "--force", "--quiet", f"--prefix={files}/")


def _fetch(git: GitCommand, repository: Repository, commit: str, report: Callable[[str], None]) -> None:
    git("init", "--quiet", "--template=")
    try:
        git("fetch", "--quiet", "--depth=1", "--no-tags", "--", repository.url, commit)
    except GitTimeout:
        raise
    except GitError as error:
        report(f"no shallow clone ({error}): fetching the whole history")
        _contact(git, repository, "fetch", "--quiet", "--", repository.url, *_BRANCHES_AND_TAGS)
    try:
        git("checkout", "--quiet", "--detach", commit, "--")
    except GitTimeout:
        raise
    except GitError as error:
        raise UnknownCommit(f"repository {repository.url} has no commit {commit}: {error}") from None
