"""An environment is built from what a project needs, which pip installs beside nothing else.

The environment's own packages come first on `sys.path`; the controller's follow, by a `.pth` file, so that
pytango and the ScriptWorker can be imported without being installed again.
"""

from __future__ import annotations

import os
import shutil
import site
import sys
import sysconfig
import time
import tomllib
import venv
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ska_oso_oet
from ska_oso_oet.errors import OetError
from ska_oso_oet.source.tool_process import TimedOut, run

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER_MODULES: Final = ("tango", "ska_oso_oet.worker.script_worker")
"""What must be importable in an environment for scripts to run on it."""

_CHECK = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
import ska_oso_oet
if ska_oso_oet.__file__ != sys.argv[1]:
    sys.exit(f"ska_oso_oet is {ska_oso_oet.__file__}, the controller's is {sys.argv[1]}")
"""
# They would put the controller's packages before the environment's own, or send pip elsewhere.
_LEFT_OUT: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PIP_TARGET", "PIP_PREFIX", "PIP_PYTHON")
_LATER_THAN_OTHERS = "zzz-controller.pth"  # .pth files are read in the order of their names


class EnvironmentFailed(OetError):
    """An environment cannot be made; the message has the reason from pip."""

    code = "OET_EnvironmentFailed"


class EnvironmentTimeout(EnvironmentFailed):
    """An environment was not ready in time."""

    code = "OET_EnvironmentTimeout"


class EnvironmentGone(EnvironmentFailed):
    """The environment has been deleted; prepare it again."""

    code = "OET_EnvironmentGone"


class Build:
    """One attempt to make the environment at `location` for the project in `clone`."""

    def __init__(self, location: Path, clone: Path, timeout: float, report: Callable[[str], None]) -> None:
        self._location = location
        self._clone = clone
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._report = report
        # Builds write beside the sources, and editable requirements point to them: not in the clone.
        self._source = location.parent / "source"
        self._scratch = location.parent / "scratch"

    def run(self) -> None:
        """Make the environment and try whether a ScriptWorker can run on it."""
        requirements = requirements_of(self._clone)
        if requirements:
            self._report(f"making an environment: pip install {' '.join(requirements)}")
        else:
            self._report("making an empty environment: the repository says nothing of its dependencies")
        shutil.copytree(self._clone, self._source, symlinks=True)
        self._scratch.mkdir()
        venv.EnvBuilder(symlinks=True).create(self._location)
        if requirements:
            self._pip("install", *requirements)
        packages = site_packages_of(self._location)
        if (packages / "ska_oso_oet").exists():
            self._report("the ScriptWorker comes from the controller: removing the environment's ska-oso-oet")
            self._pip("uninstall", "--yes", "ska-oso-oet")
        (packages / _LATER_THAN_OTHERS).write_text("".join(f"{path}\n" for path in controller_paths()))
        self._check()
        shutil.rmtree(self._scratch)

    def _pip(self, command: str, *arguments: str) -> None:
        # The controller's pip, working on the environment: installing a pip there would cost seconds.
        program = [sys.executable, "-I", "-m", "pip", "--python", str(python_of(self._location))]
        self._run("pip " + command, [*program, command, *arguments])

    def _check(self) -> None:
        program = [
            str(python_of(self._location)),
            "-I",
            "-c",
            _CHECK,
            str(ska_oso_oet.__file__),
            *WORKER_MODULES,
        ]
        self._run("importing the ScriptWorker with the project's versions of its packages", program)

    def _run(self, what: str, program: list[str]) -> None:
        last: deque[str] = deque(maxlen=30)

        def relay(line: str) -> None:
            last.append(line)
            self._report(line)

        try:
            code = run(
                program,
                directory=self._source,
                environment=self._variables(),
                deadline=self._deadline,
                report=relay,
            )
        except TimedOut:
            raise EnvironmentTimeout(f"the environment was not ready in {self._timeout:g} s") from None
        if code:
            errors = [line for line in last if line.lower().startswith("error: ")] or list(last)[-3:]
            raise EnvironmentFailed(f"{what} failed (exit code {code}): {'; '.join(errors)}")

    def _variables(self) -> dict[str, str]:
        return script_variables(self._location) | {
            "TMPDIR": str(self._scratch),  # deleted with the attempt, if it is killed
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_PROGRESS_BAR": "off",
            "PIP_REQUIRE_VIRTUALENV": "0",
            "PIP_USER": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }


def requirements_of(project: Path) -> list[str]:
    """Return what pip has to install, in the project's directory; nothing, if the project does not name it.

    A pyproject.toml counts if it describes a package, not if it merely configures tools. Raises
    EnvironmentFailed for one that cannot be read.
    """
    pyproject = project / "pyproject.toml"
    if pyproject.is_file() and _is_package(pyproject):
        return ["."]
    if (project / "setup.py").is_file():
        return ["."]
    if (project / "requirements.txt").is_file():
        return ["--requirement", "requirements.txt"]
    return []


def controller_paths() -> list[str]:
    """Return where this interpreter finds installed packages, the ScriptWorker's first."""
    package = Path(str(ska_oso_oet.__file__)).parent.parent
    return list(dict.fromkeys([str(package), *site.getsitepackages()]))


def python_of(location: Path) -> Path:
    """Return an environment's interpreter."""
    return location / "bin" / "python"


def script_variables(location: Path) -> dict[str, str]:
    """Return this process's variables as they are for a process on an environment's interpreter."""
    kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    return kept | {
        "PATH": f"{python_of(location).parent}:{os.environ.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(location),
        "PYTHONNOUSERSITE": "1",
    }


def site_packages_of(location: Path) -> Path:
    """Return where an environment has its own packages."""
    base = str(location)
    return Path(sysconfig.get_path("purelib", "venv", vars={"base": base, "platbase": base}))


def _is_package(pyproject: Path) -> bool:
    try:
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFailed(f"pyproject.toml cannot be read: {error}") from None
    return "project" in content or "build-system" in content or "poetry" in content.get("tool", {})
