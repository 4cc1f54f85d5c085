"""What pip is asked to install for a project."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ska_oso_oet
from ska_oso_oet.source.environment_build import (
    EnvironmentFailed,
    controller_paths,
    requirements_of,
    site_packages_of,
)

PACKAGE = '[project]\nname = "x"\nversion = "1"\n'
TOOLS = "[tool.ruff]\nline-length = 110\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": PACKAGE}, ["."]),
        ({"pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'}, ["."]),
        ({"pyproject.toml": '[tool.poetry]\nname = "x"\n'}, ["."]),
        ({"pyproject.toml": PACKAGE, "requirements.txt": "x"}, ["."]),
        ({"setup.py": ""}, ["."]),
        ({"setup.py": "", "requirements.txt": "x"}, ["."]),
        ({"requirements.txt": "x"}, ["--requirement", "requirements.txt"]),
        ({}, []),
        ({"pyproject.toml": TOOLS}, []),
        ({"pyproject.toml": TOOLS, "requirements.txt": "x"}, ["--requirement", "requirements.txt"]),
    ],
)
def test_the_project_says_what_it_needs(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert requirements_of(tmp_path) == expected


def test_a_project_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("not = = toml")
    with pytest.raises(EnvironmentFailed, match=r"pyproject\.toml cannot be read"):
        requirements_of(tmp_path)


def test_the_controllers_own_package_is_the_first_of_its_paths() -> None:
    paths = controller_paths()
    assert paths[0] == str(Path(str(ska_oso_oet.__file__)).parent.parent)
    assert site_packages_of(Path(sys.prefix)).samefile(paths[-1])
