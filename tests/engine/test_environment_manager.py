"""Environments of real projects, built by pip without a network, shared by real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ska_oso_oet
from ska_oso_oet.source.environment import (
    Environment,
    EnvironmentFailed,
    EnvironmentGone,
    EnvironmentManager,
    EnvironmentTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 90.0
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# A build backend (PEP 517) that needs nothing installed; a gate lets a test stop a build in the middle.
BACKEND = """
import os, pathlib, shutil
def build_wheel(directory, settings=None, metadata=None):
    gate = os.environ.get("OET_TEST_GATE")
    if gate:
        pathlib.Path(gate, "started").write_text("building")
        if pathlib.Path(gate, "go").read_text() == "fail":
            raise SystemExit("the backend refuses")
    pathlib.Path("build").mkdir(exist_ok=True)
    wheel = next(pathlib.Path("prebuilt").glob("*.whl"))
    shutil.copy(wheel, directory)
    return wheel.name
"""
PYPROJECT = """
[project]
name = "scripting"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
PREPARE = """
import pathlib, sys
from ska_oso_oet.source.environment import EnvironmentFailed, EnvironmentManager
environments, project, commit = sys.argv[1:]
say = lambda line: print(line, flush=True)
manager = EnvironmentManager(pathlib.Path(environments))
try:
    print(manager.prepare(pathlib.Path(project), commit, say).to_json())
except EnvironmentFailed as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
"""


def make_wheel(directory: Path, name: str, version: str, files: dict[str, str], *requires: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    contents = files | {
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {each}\n" for each in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*contents, f"{info}/RECORD"])
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in contents.items():
            wheel.writestr(path, text)


class Project:
    """A package `scripting` with the requirements that it is given."""

    def __init__(self, path: Path, *requires: str) -> None:
        self.path = path
        make_wheel(
            path / "prebuilt", "scripting", "1.0", {"scripting/__init__.py": "NAME = 'own'\n"}, *requires
        )
        (path / "backend.py").write_text(BACKEND)
        (path / "pyproject.toml").write_text(PYPROJECT)


class Gate:
    """Stops a build in the middle, until it is let go."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        os.mkfifo(path / "started")
        os.mkfifo(path / "go")

    def wait_until_building(self) -> None:
        assert (self.path / "started").read_text() == "building"

    def open(self, word: str) -> None:
        (self.path / "go").write_text(word)


def only_from(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a directory the only place where pip finds packages."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the test puts the packages that pip may find."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    only_from(wheels, monkeypatch)
    return wheels


@pytest.fixture
def manager(tmp_path: Path, wheels: Path) -> EnvironmentManager:
    return EnvironmentManager(tmp_path / "environments", timeout=DEADLINE)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def evaluate(environment: Environment, code: str) -> str:
    program = [str(environment.python), "-c", code]
    variables = environment.variables()
    done = subprocess.run(
        program, env=variables, capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    return done.stdout.strip()


# ------------------------------------------------------------ an environment that many look at


@dataclass(frozen=True)
class Made:
    """An environment, and what was seen while it was made."""

    manager: EnvironmentManager
    environment: Environment
    said: list[str]
    clone: Path
    clone_before: list[Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make an environment for a project that wants its own packages, with others' within reach."""
    place = tmp_path_factory.mktemp("made")
    make_wheel(place / "wheels", "rich", "999.0", {"rich/__init__.py": "WHOSE = 'the script'\n"})
    make_wheel(place / "wheels", "ska_oso_oet", "0.0.1", {"ska_oso_oet/__init__.py": "OTHER = True\n"})
    (place / "intruder").mkdir()
    (place / "intruder" / "scripting.py").write_text("NAME = 'intruder'\n")
    clone = Project(place / "project", "rich==999.0", "ska-oso-oet==0.0.1").path
    before, said = sorted(clone.rglob("*")), list[str]()
    manager = EnvironmentManager(place / "environments", timeout=DEADLINE)
    with pytest.MonkeyPatch.context() as monkeypatch:
        only_from(place / "wheels", monkeypatch)
        monkeypatch.setenv("PYTHONPATH", str(place / "intruder"))
        environment = manager.prepare(clone, COMMIT, said.append)
    return Made(manager, environment, said, clone, before)


def test_a_script_gets_its_own_versions_and_the_controllers_tango_and_worker(made: Made) -> None:
    import rich  # noqa: PLC0415 - the test is about a package that this process has loaded

    assert not hasattr(rich, "WHOSE")
    code = """
import json, rich, scripting, sys, tango, ska_oso_oet, ska_oso_oet.procedure.domain as domain
names = [rich.WHOSE, scripting.NAME]
print(json.dumps([*names, rich.__file__, ska_oso_oet.__file__, domain.__file__, sys.prefix]))
"""
    whose, name, rich_file, oet_file, domain_file, prefix = json.loads(evaluate(made.environment, code))
    assert (whose, name) == ("the script", "own")
    assert Path(rich_file).is_relative_to(made.environment.location)
    assert oet_file == ska_oso_oet.__file__, "the project installs another"
    assert domain_file.startswith(str(Path(str(ska_oso_oet.__file__)).parent))
    assert prefix == str(made.environment.location)
    assert made.environment.env_id.startswith(COMMIT)
    assert any("Successfully installed" in line and "rich-999.0" in line for line in made.said)
    assert any("the ScriptWorker comes from the controller" in line for line in made.said)


def test_a_clone_is_left_as_it_is(made: Made) -> None:
    assert sorted(made.clone.rglob("*")) == made.clone_before
    assert not (made.environment.location.parent / "scratch").exists()


def test_an_environment_is_made_once(made: Made, tmp_path: Path) -> None:
    said: list[str] = []
    assert made.manager.prepare(made.clone, COMMIT, said.append) == made.environment
    assert said == []
    assert made.manager.prepare(tmp_path, "f" * 40) != made.environment


def test_the_controllers_python_path_does_not_reach_a_script(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scripting.py").write_text("NAME = 'intruder'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import os, scripting; print(scripting.NAME, os.environ['PATH'], os.environ['VIRTUAL_ENV'])"
    found = evaluate(made.environment, code)
    assert found.startswith(f"own {made.environment.location / 'bin'}")
    assert found.endswith(str(made.environment.location))


# ------------------------------------------------------------ what each of these makes for itself


def test_requirements_may_name_packages_and_directories(
    tmp_path: Path, wheels: Path, manager: EnvironmentManager
) -> None:
    make_wheel(wheels, "antenna", "2.0", {"antenna.py": "SIZE = 15\n"})
    Project(tmp_path / "project" / "library")
    (tmp_path / "project" / "requirements.txt").write_text("antenna>=1\n./library\n")
    environment = manager.prepare(tmp_path / "project", COMMIT)
    assert evaluate(environment, "import antenna, scripting; print(antenna.SIZE, scripting.NAME)") == "15 own"


def test_a_project_may_have_only_a_setup_py(
    tmp_path: Path, wheels: Path, manager: EnvironmentManager
) -> None:
    legacy = BACKEND + "import sys\n__legacy__ = sys.modules[__name__]\n"
    make_wheel(
        wheels, "setuptools", "99.0", {"setuptools/__init__.py": "", "setuptools/build_meta.py": legacy}
    )
    make_wheel(wheels, "wheel", "99.0", {"wheel/__init__.py": ""})
    project = Project(tmp_path / "project")
    (project.path / "pyproject.toml").unlink()
    (project.path / "setup.py").write_text("from setuptools import setup\nsetup()\n")
    environment = manager.prepare(project.path, COMMIT)
    assert evaluate(environment, "import scripting; print(scripting.NAME)") == "own"


def test_versions_that_the_worker_cannot_use_are_found_at_once(
    tmp_path: Path, wheels: Path, manager: EnvironmentManager
) -> None:
    make_wheel(wheels, "pydantic", "0.1", {"pydantic/__init__.py": ""})
    with pytest.raises(EnvironmentFailed, match=r"importing the ScriptWorker .* 'pydantic'"):
        manager.prepare(Project(tmp_path / "project", "pydantic==0.1").path, COMMIT)


def test_a_failure_gives_pips_reason_and_is_not_for_ever(
    tmp_path: Path, wheels: Path, manager: EnvironmentManager
) -> None:
    project = Project(tmp_path / "project", "antenna==2.0")
    said: list[str] = []
    with pytest.raises(
        EnvironmentFailed, match=r"pip install failed .*No matching distribution .* antenna==2\.0"
    ):
        manager.prepare(project.path, COMMIT, said.append)
    assert any("No matching distribution" in line for line in said)
    assert not list((tmp_path / "environments").glob("*~*"))
    make_wheel(wheels, "antenna", "2.0", {"antenna.py": ""})
    assert manager.prepare(project.path, COMMIT).python.exists()


def test_a_directory_that_cannot_be_written_is_a_failure_with_its_reason(
    tmp_path: Path, project: Project
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailed, match=r"cannot be made: .*file/environments"):
        EnvironmentManager(tmp_path / "file" / "environments").prepare(project.path, COMMIT)


def test_a_python_that_is_gone_means_a_new_environment(tmp_path: Path, manager: EnvironmentManager) -> None:
    (tmp_path / "empty").mkdir()
    first = manager.prepare(tmp_path / "empty", COMMIT)
    first.python.unlink()
    second = manager.prepare(tmp_path / "empty", COMMIT)
    assert second.location != first.location
    assert evaluate(second, "import sys; print(sys.prefix)") == str(second.location)


def test_idle_environments_beyond_the_limit_are_deleted(tmp_path: Path, wheels: Path) -> None:
    manager = EnvironmentManager(tmp_path / "environments", 1, DEADLINE, recent_s=0.0)
    (empty := tmp_path / "empty").mkdir()
    with manager.in_use(used := manager.prepare(empty, "1" * 40)):
        idle = manager.prepare(empty, "2" * 40)
        newest = manager.prepare(empty, "3" * 40)
        there = [environment.location.exists() for environment in (used, idle, newest)]
        assert there == [True, False, True]
    with pytest.raises(EnvironmentGone), manager.in_use(idle):
        pass
    manager.trim()
    assert [environment.location.exists() for environment in (used, newest)] == [False, True]


def test_a_build_that_takes_too_long_is_a_timeout(project: Project, tmp_path: Path, wheels: Path) -> None:
    with pytest.raises(EnvironmentTimeout, match=r"not ready in 0\.05 s"):
        EnvironmentManager(tmp_path / "environments", timeout=0.05).prepare(project.path, COMMIT)
    assert not list((tmp_path / "environments").glob("*~*"))


class Builder:
    """A process that prepares an environment, in a session of its own as the engine's are."""

    def __init__(self, tmp_path: Path, project: Project, gate: Gate | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(tmp_path / "environments"), str(project.path), COMMIT],
            env={**os.environ, **({"OET_TEST_GATE": str(gate.path)} if gate else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> list[str]:
        return self.process.communicate(timeout=DEADLINE)[0].splitlines()

    def kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=DEADLINE)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


@pytest.fixture
def gated(tmp_path: Path, project: Project, wheels: Path, gate: Gate) -> Iterator[Builder]:
    """A process in the middle of a build."""
    builder = Builder(tmp_path, project, gate)
    gate.wait_until_building()
    yield builder
    builder.kill_group()


def ready(lines: list[str]) -> Environment:
    return Environment.model_validate(json.loads(lines[-1]))


def test_processes_that_want_the_same_environment_make_it_once(
    tmp_path: Path, project: Project, gated: Builder, gate: Gate
) -> None:
    waiters = [Builder(tmp_path, project) for _ in range(2)]
    for waiter in waiters:
        assert waiter.line().startswith("waiting for another process")
    gate.open("go on")
    made = ready(gated.end())
    assert [ready(waiter.end()) for waiter in waiters] == [made, made]
    assert evaluate(made, "import scripting; print(scripting.NAME)") == "own"


def test_when_a_build_fails_all_who_waited_for_it_fail_alike(
    tmp_path: Path, project: Project, gated: Builder, gate: Gate
) -> None:
    waiter = Builder(tmp_path, project)
    assert waiter.line().startswith("waiting for another process")
    gate.open("fail")
    failure = gated.end()[-1]
    assert failure.startswith("EnvironmentFailed: pip install failed")
    assert waiter.end() == [failure]
    assert (gated.process.returncode, waiter.process.returncode) == (1, 1)


@pytest.mark.parametrize("killed", ["group", "process"])
def test_when_the_builder_is_killed_the_next_one_takes_over(
    tmp_path: Path, project: Project, gated: Builder, manager: EnvironmentManager, killed: str
) -> None:
    waiter = Builder(tmp_path, project)
    assert waiter.line().startswith("waiting for another process")
    if killed == "group":
        gated.kill_group()
    else:
        gated.process.kill()  # its pip goes on, in a directory that nobody will use
    made = ready(waiter.end())
    gated.kill_group()
    assert manager.prepare(project.path, COMMIT) == made
    assert evaluate(made, "import scripting; print(scripting.NAME)") == "own"
    manager.trim()
    assert [path.name for path in (tmp_path / "environments").glob("*~*")] == [made.location.parent.name]
