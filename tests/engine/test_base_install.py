"""What the base install says where an extra is needed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PARSED = """
from ska_oso_oet.errors import OetError
from ska_oso_oet.history.database import parse_url
try:
    parse_url("postgresql://host/db")
except OetError as error:
    sys.exit(str(error))
"""
WITHOUT = "import sys; sys.modules[{missing!r}] = None\n{program}"


@pytest.mark.parametrize(
    ("missing", "program", "extra"),
    [
        ("fastapi", "from ska_oso_oet.main import rest_adapter; rest_adapter(['x', '01'])", "rest"),
        ("uvicorn", "from ska_oso_oet.main import rest_adapter; rest_adapter(['x', '01'])", "rest"),
        (
            "uvicorn",
            "from ska_oso_oet.cli import run; sys.exit(run(['up', '--port=0', '--rest-port=0']))",
            "rest",
        ),
        (
            "psycopg",
            "from ska_oso_oet.cli import run; sys.exit(run(['sbd', 'list', '--local']))",
            "db",
        ),
        (
            "psycopg",
            PARSED,
            "db",
        ),
    ],
)
def test_an_extra_that_is_missing_is_named(missing: str, program: str, extra: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=missing, program=program)],
        env={"ODA_BACKEND_TYPE": "postgres", "POSTGRES_HOST": "host", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"ska-oso-oet[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr
