"""A script from git is brought to where it can be loaded, in the process that will run it.

A script that needs an environment of its own runs on that environment's interpreter: the process that made
the environment becomes it by exec, so that one process, one group and one channel last from the first state
of a procedure to its last.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.ports import EVERYTHING, Allowed
from ska_oso_oet.procedure.subarrays import SUBARRAY_ID, left_open
from ska_oso_oet.source.environment import Environment, EnvironmentManager
from ska_oso_oet.source.loader import load_file
from ska_oso_oet.worker.limits import ScriptLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import NoReturn

    from ska_oso_oet.source.gitmanager import GitManager
    from ska_oso_oet.source.script import GitScript

RESUME_MODULE: Final = "ska_oso_oet.worker.resume"


class Places(Model):
    """Where clones and environments are kept, and which repositories are allowed.

    `scratch` is a directory of one procedure, which is deleted when its process is gone.

    GitPython is imported where it is used: it needs the program git, which only scripts from git do.
    """

    directory: Path
    repositories: list[str]
    max_idle_environments: int
    environment_timeout: float
    scratch: Path

    def clones(self) -> GitManager:
        """Return the clones of allowed repositories."""
        from ska_oso_oet.source.gitmanager import GitManager  # noqa: PLC0415

        return GitManager(self.directory / "clones", self.repositories, scratch=self.scratch)

    def environments(self) -> EnvironmentManager:
        """Return the environments."""
        return EnvironmentManager(
            self.directory / "environments", self.max_idle_environments, self.environment_timeout
        )


class LoadOrder(Model):
    """What LOAD carries: the request, what may be commanded, what git scripts need, what bounds the end.

    `grace` is the time in which the process must end when it is asked to stop (s).
    """

    command: PrepareProcessCommand
    allowed: Allowed = EVERYTHING
    places: Places | None = None
    limits: ScriptLimits = ScriptLimits()
    grace: float = 2.0

    def subarray_for(self, init: Callable[..., object]) -> int | None:
        """Find the subarray for a script's `init` that has such a parameter, when none is named.

        Raises SubarrayNotAllowed for its own default, if that may not be commanded.
        """
        given = self.command.script_args
        if given.subarrays or SUBARRAY_ID in given.init.kwargs:
            return None
        subarray_id = left_open(init, given.init.args, self.allowed.subarrays.first)
        self.allowed.subarrays.check([] if subarray_id is None else [subarray_id])
        return subarray_id


class ResumeOrder(Model):
    """What a process that has become an environment's interpreter goes on with."""

    name: str
    channel: int
    load: LoadOrder
    environment: Environment


class GitSource:
    """A commit of a script's repository: a clone that many runs share, and this run's own copy of its files.

    A script gets nothing but the copy, so that what it leaves there is not there for any other run.
    """

    def __init__(self, script: GitScript, places: Places) -> None:
        self._script = script
        self._files = places.scratch / "files"
        self._git = places.clones()
        self._environments = places.environments()
        self._held = ExitStack()

    def fetch(self, on_commit: Callable[[str], None]) -> tuple[Path, str]:
        """Return the clone and its commit, once the copy is made; `on_commit` has the commit before."""
        commit = self._git.resolve(self._script.git_args)
        on_commit(commit)
        return self._git.clone(self._script.git_args, commit, _print_line, files=self._files), commit

    def environment(self, clone: Path, commit: str) -> Environment:
        """Return the environment of the commit, once it is made."""
        with self._git.in_use(clone):
            return self._environments.prepare(clone, commit, _print_line)

    def hold(self, environment: Environment) -> None:
        """Keep an environment while this process lives."""
        self._held.enter_context(self._environments.in_use(environment))

    def load(self) -> ModuleType:
        """Load the script from the copy; modules at the top of the repository can be imported by it."""
        from ska_oso_oet.source.gitmanager import script_path  # noqa: PLC0415 - see Places

        path = script_path(self._files, self._script.script_uri)
        sys.path.append(str(self._files))
        return load_file(path, [self._files.resolve()])


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def become(order: ResumeOrder) -> NoReturn:
    """Replace this process by the environment's interpreter, which goes on with `order`."""
    # In memory rather than in the arguments of the program, which every user of the machine can read.
    content = os.memfd_create("oet-resume", 0)
    os.write(content, order.to_json().encode())
    os.lseek(content, 0, os.SEEK_SET)
    os.set_inheritable(content, True)
    os.set_inheritable(order.channel, True)
    sys.stdout.flush()
    sys.stderr.flush()
    python = str(order.environment.python)
    arguments = [python, "-P", "-m", RESUME_MODULE, str(content)]
    os.execve(python, arguments, order.environment.variables())  # noqa: S606 - no shell is wanted


def resume_order(descriptor: int) -> tuple[ResumeOrder, socket.socket]:
    """Read what `become` left, in the new program; returns it with the channel."""
    with os.fdopen(descriptor, "rb") as content:
        order = ResumeOrder.parse(json.loads(content.read()))
    os.set_inheritable(order.channel, False)
    return order, socket.socket(fileno=order.channel)
