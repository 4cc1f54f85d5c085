"""What is installed elsewhere holds the same files as the source tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INPUTS = ("src", "devices", "scripts", "pyproject.toml", "README.md", "LICENSE")
SAY_WHERE = (
    "from ska_oso_oet import resources; print(resources.devices_dir(), resources.scripts_dir(), sep='\\n')"
)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, source / name)
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(source)]
    built = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def where(path: Path) -> list[Path]:
    argv = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r}); {SAY_WHERE}"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    return [Path(line) for line in said.splitlines()]


def _files(directory: Path) -> set[Path]:
    found = (file.relative_to(directory) for file in directory.rglob("*") if file.is_file())
    return {file for file in found if file.suffix != ".pyc"}


def test_the_wheel_holds_devices_and_scripts(unpacked: Path) -> None:
    devices, scripts = where(unpacked)
    assert devices.is_relative_to(unpacked)
    assert {file.name for file in devices.glob("*.json")} == {
        f.name for f in (ROOT / "devices").glob("*.json")
    }
    assert _files(scripts) == _files(ROOT / "scripts")
    assert (scripts / "hello_world.py").is_file()
    assert (devices / "oet-controller.json").is_file()


def test_the_wheel_holds_every_module(unpacked: Path) -> None:
    source = ROOT / "src" / "ska_oso_oet"
    expected = {file.relative_to(source) for file in source.rglob("*.py")}
    installed = unpacked / "ska_oso_oet"
    assert expected <= {file.relative_to(installed) for file in installed.rglob("*.py")}


def test_a_source_tree_uses_the_directories_at_its_top() -> None:
    assert where(ROOT / "src") == [ROOT / "devices", ROOT / "scripts"]
