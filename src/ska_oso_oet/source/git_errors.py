"""These errors are what can go wrong between a git repository and a script, each with a stable code.

::

    GitError                     git itself failed
    ├── RepositoryNotAllowed     also a Rejected: known before anything is contacted
    ├── RepositoryUnreachable    network, name, certificate, credentials, or no repository there
    ├── GitTimeout
    ├── UnknownBranch            no branch and no tag of that name
    ├── UnknownCommit            no branch and no tag contains it
    ├── MissingPath              the commit has no such script
    └── CloneGone                a clone was deleted before it was used
"""

from __future__ import annotations

from ska_oso_oet.errors import OetError, ScriptNotAllowed


class GitError(OetError):
    """A script cannot be had from its repository."""

    code = "OET_GitFailed"


class RepositoryNotAllowed(GitError, ScriptNotAllowed):
    """The repository is under none of the allowed prefixes, or its URL is not a plain one."""

    code = ScriptNotAllowed.code


class RepositoryUnreachable(GitError):
    """The repository cannot be reached, or refuses."""

    code = "OET_RepositoryUnreachable"


class GitTimeout(GitError):
    """The repository did not reply in time."""

    code = "OET_GitTimeout"


class UnknownBranch(GitError):
    """The repository has no branch and no tag of this name."""

    code = "OET_UnknownBranch"


class UnknownCommit(GitError):
    """No branch and no tag of the repository contains this commit."""

    code = "OET_UnknownCommit"


class MissingPath(GitError):
    """The commit has no file at this path."""

    code = "OET_MissingPath"


class CloneGone(GitError):
    """The clone has been deleted; clone it again."""

    code = "OET_CloneGone"
