"""Where a history is, and where the OET is installed, may have names that mean something in a URL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ska_oso_oet
from ska_oso_oet.database.file_url import file_url
from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.history.database import HistoryDatabase, parse_url

UPGRADE = """
import sys
from pathlib import Path
from ska_oso_oet.history.database import HistoryDatabase, parse_url
from ska_oso_oet.database.file_url import file_url
import ska_oso_oet

assert ska_oso_oet.__file__.startswith(sys.argv[1])
HistoryDatabase(parse_url(file_url(Path(sys.argv[2])))).upgrade()
"""


@pytest.mark.parametrize("name", ["50%2Fx", "50%", "why?x=1", "a#b", "a b", "é", "%25", "a&b=c;d"])
def test_the_file_is_where_its_name_says(name: str, tmp_path: Path) -> None:
    file = tmp_path / name / "history.db"
    database = HistoryDatabase(parse_url(file_url(file)))
    try:
        database.upgrade()
        assert file.is_file()
        assert [entry.name for entry in tmp_path.iterdir()] == [name]
    finally:
        database.close()
    frozen = database.frozen()
    try:
        with frozen.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM oet_history_version").scalar() == 1
    finally:
        frozen.close()


def test_a_url_whose_file_would_be_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="%3F"):
        parse_url(f"sqlite:///{tmp_path}/why?/history.db")


@pytest.mark.parametrize("name", ["ws%2Fx", "why?x", "a b"])
def test_the_installation_may_be_anywhere(name: str, tmp_path: Path) -> None:
    place = tmp_path / name
    place.mkdir()
    (place / "ska_oso_oet").symlink_to(Path(ska_oso_oet.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", UPGRADE, str(place), str(tmp_path / "history.db")],
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "history.db").is_file()
