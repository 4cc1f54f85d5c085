"""ScriptPolicy decides which scripts may be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.errors import Rejected, ScriptNotAllowed
from ska_oso_oet.source.loader import path_of
from ska_oso_oet.source.script import EmbeddedStringScript, FileSystemScript, GitScript
from ska_oso_oet.source.script_file import require_within

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ska_oso_oet.source.git_url import AllowedRepositories
    from ska_oso_oet.source.script import AnyScript


class ScriptPolicy:
    """Allows scripts by where they come from.

    Files must be there, and lie below one of `roots`, once symbolic links and `..` are resolved. Git
    repositories are allowed by their URL, and are not contacted here.
    """

    def __init__(
        self, roots: Iterable[Path], repositories: AllowedRepositories, *, embedded_allowed: bool
    ) -> None:
        self._repositories = repositories
        self._roots = [root.resolve() for root in roots]
        self._embedded_allowed = embedded_allowed

    def check(self, script: AnyScript) -> None:
        """Raise ScriptNotAllowed unless the script may be run, and Rejected unless it is there."""
        match script:
            case FileSystemScript():
                self._check_path(path_of(script.script_uri))
            case GitScript():
                self._repositories.check(script.git_args.git_repo)
            case EmbeddedStringScript() if not self._embedded_allowed:
                raise ScriptNotAllowed("scripts in requests are refused here (property EmbeddedScripts)")
            case _:
                return

    def _check_path(self, path: Path) -> None:
        # The worker, which opens it, asks again: what a path leads to can change.
        place = path.resolve()
        require_within(path, place, self._roots)
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise Rejected(f"there is no script {path}") from None
        except OSError:
            return  # the worker finds out what is wrong with it
