"""EnvironmentManager makes a Python environment for each commit once, and deletes it when nobody uses it.

Plain synchronous code for a process of its own: it may be killed at any instant, with its process group, and
leaves nothing that a later call would mistake for an environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ska_oso_oet.models import Model
from ska_oso_oet.source.directory_cache import RECENT_S, DirectoryCache, no_message
from ska_oso_oet.source.environment_build import (
    Build,
    EnvironmentFailed,
    EnvironmentGone,
    EnvironmentTimeout,
    controller_paths,
    python_of,
    script_variables,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Environment", "EnvironmentFailed", "EnvironmentGone", "EnvironmentManager", "EnvironmentTimeout"]


class Environment(Model):
    """A virtual environment; `python` is the interpreter that a script in it runs on."""

    env_id: str
    location: Path
    python: Path

    def variables(self) -> dict[str, str]:
        """Return the environment variables for a process that runs on `python`."""
        return script_variables(self.location)


class EnvironmentManager:
    """Makes environments below `environments_dir` and keeps `max_idle` of those that no process uses.

    `timeout` (s) bounds the making of one; pip is set up by its own configuration and environment variables.
    """

    def __init__(
        self, environments_dir: Path, max_idle: int = 5, timeout: float = 600.0, *, recent_s: float = RECENT_S
    ) -> None:
        # Absolute and free of links, since an environment cannot be moved.
        self._cache = DirectoryCache(
            environments_dir.resolve(), max_idle, EnvironmentFailed, recent_s=recent_s
        )
        self._timeout = timeout

    def prepare(self, clone: Path, commit: str, report: Callable[[str], None] = no_message) -> Environment:
        """Return the environment of a commit: make it from `clone`, or wait for the process that does.

        Raises EnvironmentFailed with pip's reason, EnvironmentTimeout. Hold the clone meanwhile. The
        environment stays for at least a minute; hold it with `in_use` for longer.
        """
        env_id = environment_id(commit)

        def make(location: Path) -> None:
            Build(location, clone, self._timeout, report).run()
            report("the environment is ready")

        try:
            location = self._cache.get(env_id, make, valid=_has_interpreter, report=report)
        except OSError as error:  # no space, no permission
            raise EnvironmentFailed(f"the environment cannot be made: {error}") from error
        return Environment(
            env_id=env_id,
            location=location,
            python=python_of(location),
        )

    @contextmanager
    def in_use(self, environment: Environment) -> Iterator[None]:
        """Keep an environment from being deleted; raises EnvironmentGone if it has been."""
        try:
            with self._cache.in_use(environment.location):
                yield
        except FileNotFoundError:
            if environment.location.exists():
                raise
            raise EnvironmentGone(f"environment {environment.env_id} has been deleted") from None

    def trim(self) -> None:
        """Delete idle environments beyond the limit, and what killed processes left behind."""
        self._cache.trim()


def environment_id(commit: str) -> str:
    """Name the environment that is made for a commit."""
    return f"{commit}-{_fingerprint()}"


@cache
def _fingerprint() -> str:
    """Distinguish environments of one interpreter and controller installation from those of another."""
    made_for = json.dumps([sys.version_info[:2], sys.base_prefix, controller_paths()])
    return hashlib.sha256(made_for.encode()).hexdigest()[:8]


def _has_interpreter(location: Path) -> bool:
    return os.access(python_of(location), os.X_OK)
