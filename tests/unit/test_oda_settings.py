"""The choice of a store: the environment, device properties, and a password that is never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda import OdaSettings, open_oda
from ska_oso_oet.oda.filesystem import FilesystemOda
from ska_oso_oet.oda.postgres import PostgresOda, database_url

if TYPE_CHECKING:
    from pathlib import Path

POSTGRES = {
    "ODA_BACKEND_TYPE": "postgres",
    "POSTGRES_HOST": "db.example",
    "POSTGRES_PORT": "6543",
    "POSTGRES_DB_NAME": "oda",
    "ADMIN_POSTGRES_USER": "oet",
    "ADMIN_POSTGRES_PASSWORD": "s3cr3t",
}


def test_a_directory_is_the_default() -> None:
    settings = OdaSettings.from_environment({})
    assert settings.backend == "filesystem"
    assert isinstance(open_oda(settings), FilesystemOda)


def test_the_environment_names_a_database() -> None:
    settings = OdaSettings.from_environment(POSTGRES)
    url = database_url(settings)
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://oet:s3cr3t@db.example:6543/oda"
    oda = open_oda(settings)
    assert isinstance(oda, PostgresOda)
    oda.close()


def test_properties_win_over_the_environment(tmp_path: Path) -> None:
    settings = OdaSettings.from_environment(POSTGRES, backend="filesystem", data_dir=str(tmp_path), url="")
    assert (settings.backend, settings.data_dir, settings.url) == ("filesystem", tmp_path, None)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_url_names_a_database_and_the_environment_its_password(scheme: str) -> None:
    settings = OdaSettings.from_environment(POSTGRES, url=f"{scheme}://someone@elsewhere/sbs")
    assert (
        database_url(settings).render_as_string(hide_password=False)
        == "postgresql+psycopg://someone:s3cr3t@elsewhere/sbs"
    )


def test_the_password_of_a_url_wins() -> None:
    settings = OdaSettings.from_environment(POSTGRES, url="postgresql://someone:other@elsewhere/sbs")
    assert database_url(settings).password == "other"


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"ODA_BACKEND_TYPE": "mysql"}, "backend"),
        ({"POSTGRES_PORT": "abc"}, "port"),
        ({"POSTGRES_PORT": "70000"}, "port"),
    ],
)
def test_wrong_settings_are_named(variables: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidArgument, match=f"settings of the ODA: {word}: "):
        OdaSettings.from_environment(variables)


def test_a_database_needs_a_host() -> None:
    with pytest.raises(InvalidArgument, match="POSTGRES_HOST"):
        open_oda(OdaSettings.from_environment({"ODA_BACKEND_TYPE": "postgres"}))


@pytest.mark.parametrize("url", ["mysql://u:s3cr3t@h/d", "s3cr3t", "postgresql://u:s3cr3t@h:port/d"])
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidArgument, match="OdaUrl") as caught:
        open_oda(OdaSettings.from_environment({}, backend="postgres", url=url))
    assert "s3cr3t" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    settings = OdaSettings.from_environment(POSTGRES, url="postgresql://u:hidden@h/d?password=buried")
    oda = open_oda(settings)
    shown = repr(settings) + str(settings) + settings.to_json() + repr(oda)
    oda.close()
    for secret in ("s3cr3t", "hidden", "buried"):
        assert secret not in shown
