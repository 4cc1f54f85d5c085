"""What is in effect, where it comes from, and what was set in vain; secrets are never shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ska_oso_oet
from ska_oso_oet.settings import ControllerSettings
from ska_oso_oet.settings.effective import KNOWN_VARIABLES, in_effect, masked, unknown_variables

if TYPE_CHECKING:
    import pytest


def told(
    properties: dict[str, Any], environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return in_effect(ControllerSettings.load(properties), properties, environ, "a/b/c")


def line(shown: dict[str, Any], name: str) -> tuple[Any, str]:
    [found] = [each for each in shown["settings"] if each["name"] == name]
    return found["value"], found["source"]


def test_each_setting_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = told(
        {"history_length": 30}, {"OET_STOP_GRACE_PERIOD": "0.5", "OET_HISTORY_LENGTH": "5"}, monkeypatch
    )
    assert line(shown, "HistoryLength") == (30, "property")
    assert line(shown, "ListLength") == (30, "property")
    assert line(shown, "StopGracePeriod") == (0.5, "OET_STOP_GRACE_PERIOD")
    assert line(shown, "EmbeddedScripts") == ("refused", "default")
    value, source = line(shown, "HistoryUrl")
    assert value.endswith("/a/b/c/history.db")
    assert source == "default"
    assert line(shown, "ScanIdFile") == (
        value.replace("sqlite:///", "").replace("history.db", "scan-ids"),
        "default",
    )


def test_settings_of_the_oda_name_the_variable_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"PGHOST": "db", "PGUSER": "me", "ADMIN_POSTGRES_USER": "admin", "OET_ODA_BACKEND": "postgres"}
    shown = told({}, environ, monkeypatch)
    assert line(shown, "OdaHost") == ("db", "PGHOST")
    assert line(shown, "OdaUser") == ("admin", "ADMIN_POSTGRES_USER")
    assert line(shown, "OdaBackend") == ("postgres", "OET_ODA_BACKEND")
    assert line(shown, "OdaPort") == (None, "default")


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = {
        "history_url": "postgresql://me:hush@db/history?password=hush",
        "git_repositories": ["https://me:hush@gitlab.example/", "https://hush@gitlab.example/"],
        "oda_url": "postgresql://me:hush@db/oda",
    }
    shown = told(properties, {"PGPASSWORD": "hush", "ODA_URL": "http://u:hush@h"}, monkeypatch)
    assert "hush" not in json.dumps(shown)
    assert line(shown, "HistoryUrl")[0] == "postgresql://me:***@db/history?password=***"
    assert line(shown, "OdaPassword") == ("***", "PGPASSWORD")


def test_what_has_no_secret_is_shown_as_it_is() -> None:
    assert masked("sqlite:////tmp/a@b/history.db") == "sqlite:////tmp/a@b/history.db"


def test_a_variable_that_nothing_reads_is_named_with_what_may_be_meant() -> None:
    assert unknown_variables(["OET_STOP_GRACE", "OET_HISTORY_LENGTH", "PATH", "OET_XYZZY"]) == [
        "OET_STOP_GRACE is no setting of the OET: is OET_STOP_GRACE_PERIOD meant?",
        "OET_XYZZY is no setting of the OET",
    ]


def test_every_variable_that_the_sources_name_is_known() -> None:
    package = Path(ska_oso_oet.__file__).parent
    named = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"[\"'`](OET_[A-Z0-9_]*[A-Z0-9])[\"'`]", file.read_text("utf-8"))
        if not name.startswith("OET_REST_")
    }
    assert named - KNOWN_VARIABLES == set()
