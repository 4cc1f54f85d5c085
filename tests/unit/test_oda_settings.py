"""The choice of a store: the environment, device properties, and a password that is never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda import OdaSettings, open_oda
from ska_oso_oet.oda.errors import OdaUnavailable
from ska_oso_oet.oda.filesystem import FilesystemOda
from ska_oso_oet.oda.postgres import PostgresOda, database_url
from ska_oso_oet.oda.store import oda_or_reason

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


PG = {"PGHOST": "pg.example", "PGPORT": "6543", "PGDATABASE": "oda", "PGUSER": "oet", "PGPASSWORD": "s3cr3t"}


def test_the_variables_of_libpq_name_a_database_too() -> None:
    url = database_url(OdaSettings.from_environment(PG))
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://oet:s3cr3t@pg.example:6543/oda"


def test_a_directory_that_is_named_wins_over_a_database_without_a_backend() -> None:
    assert OdaSettings.from_environment({**PG, "ODA_DATA_DIR": "/oda"}).backend == "filesystem"


def test_the_url_of_the_rest_api_is_for_scripts() -> None:
    settings = OdaSettings.from_environment({**POSTGRES, "ODA_URL": "http://oda/api/v1"})
    assert database_url(settings).host == "db.example"
    named = OdaSettings.from_environment({"ODA_DATA_DIR": "/oda", "ODA_URL": "http://oda/api/v1"})
    assert (named.backend, named.url) == ("filesystem", None)


@pytest.mark.parametrize(
    "variables",
    [
        {"ODA_BACKEND_TYPE": "rest", "ODA_URL": "http://oda/api/v1"},
        {"ODA_URL": "http://u:s3cr3t@oda/api/v1"},
        {"ODA_BACKEND_TYPE": "postgres", "ODA_URL": "https://oda/api/v1"},
        {"ODA_BACKEND_TYPE": "mysql"},
        {"ODA_BACKEND_TYPE": "postgres"},
    ],
)
def test_settings_that_cannot_work_make_a_store_that_says_why(variables: dict[str, str]) -> None:
    oda = oda_or_reason(variables)
    for use in (oda.check, oda.list_sbds, lambda: oda.get_sbd("sbd-1")):
        with pytest.raises(OdaUnavailable, match="ODA") as caught:
            use()
        assert "s3cr3t" not in str(caught.value)
    oda.close()


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
