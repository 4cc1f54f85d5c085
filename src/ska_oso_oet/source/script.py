"""A script is a file, a file of a git repository, or source that is part of the request."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import Field, StrictBool, StrictStr, field_validator

from ska_oso_oet.models import Model, own_constructor
from ska_oso_oet.source.git_url import redacted

DEFAULT_REPOSITORY: Final = "https://gitlab.com/ska-telescope/oso/ska-oso-scripting.git"
DEFAULT_BRANCH: Final = "master"


class ExecutableScript(Model):
    """Base of every kind of script."""


class FileSystemScript(ExecutableScript):
    """A script in a file that the controller can read.

    `script_uri` is `file:///absolute/path.py`.
    """

    script_type: Literal["filesystem"] = "filesystem"
    script_uri: StrictStr

    @own_constructor
    def __init__(self, script_uri: str, **fields: Any) -> None:
        """Name the script: `FileSystemScript("file:///scripts/observe.py")`."""
        self._fill(script_uri=script_uri, **fields)

    @field_validator("script_uri")
    @classmethod
    def _is_file_uri(cls, uri: str) -> str:
        return _require_prefix(uri, "file://")


class GitArgs(Model):
    """Which revision of which repository a script comes from; a commit wins over a branch."""

    git_repo: StrictStr = DEFAULT_REPOSITORY
    git_branch: StrictStr | None = DEFAULT_BRANCH
    git_commit: StrictStr | None = None

    @own_constructor
    def __init__(
        self,
        git_repo: str = DEFAULT_REPOSITORY,
        git_branch: str | None = DEFAULT_BRANCH,
        git_commit: str | None = None,
    ) -> None:
        """Name the revision: `GitArgs("https://gitlab.com/ska-telescope/…", "main")`."""
        self._fill(git_repo=git_repo, git_branch=git_branch, git_commit=git_commit)


class GitScript(ExecutableScript):
    """A script in a git repository.

    `script_uri` is `git://path/in/the/repository.py`, with two slashes or with three; with `create_env` it
    runs in an environment of its own, made from the project's dependencies.
    """

    script_type: Literal["git"] = "git"
    script_uri: StrictStr
    git_args: GitArgs = GitArgs()
    create_env: StrictBool = False

    @own_constructor
    def __init__(
        self,
        script_uri: str,
        git_args: GitArgs | None = None,
        create_env: bool | None = False,  # noqa: FBT001, FBT002 - the published signature of the original
        **fields: Any,
    ) -> None:
        """Name the script: `GitScript("git://scripts/observe.py", GitArgs(git_branch="main"))`."""
        given = git_args or GitArgs()
        self._fill(script_uri=script_uri, git_args=given, create_env=bool(create_env), **fields)

    @field_validator("script_uri")
    @classmethod
    def _is_git_uri(cls, uri: str) -> str:
        return _require_prefix(uri, "git://")


class EmbeddedStringScript(ExecutableScript):
    """A script whose source is part of the request."""

    script_type: Literal["embedded"] = "embedded"
    script_source: StrictStr
    script_name: StrictStr = "embedded script"


AnyScript = Annotated[FileSystemScript | GitScript | EmbeddedStringScript, Field(discriminator="script_type")]


def presentable(script: AnyScript) -> AnyScript:
    """Return a script as it may be shown to anyone: without the credentials that a URL can carry."""
    if not isinstance(script, GitScript):
        return script
    git_args = script.git_args.model_copy(update={"git_repo": redacted(script.git_args.git_repo)})
    return script.model_copy(update={"git_args": git_args})


def _require_prefix(uri: str, prefix: str) -> str:
    if not uri.startswith(prefix) or len(uri) == len(prefix):
        raise ValueError(f"a {prefix}… URI is expected")
    if "\0" in unquote(uri):
        raise ValueError("a URI has no NUL character, nor %00")
    return uri
