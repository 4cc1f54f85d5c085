"""Settings: property before environment before default, and each bad value names itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.mptools.message import MAX_FRAME
from ska_oso_oet.procedure.exclusivity import Exclusivity
from ska_oso_oet.procedure.subarrays import ALL
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.settings import (
    MOST_REQUEST_BYTES,
    ControllerSettings,
    default_history_url,
    default_scan_id_file,
    property_name,
)


def test_the_defaults() -> None:
    settings = ControllerSettings.load({})
    assert settings.script_roots == [scripts_dir()]
    assert settings.embedded_scripts == "refused"
    assert settings.exclusivity is Exclusivity.SUBARRAY
    assert (settings.history_length, settings.event_journal_length) == (10, 10_000)
    assert settings.stop_grace_period == 2.0


def test_a_property_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OET_HISTORY_LENGTH", "20")
    monkeypatch.setenv("OET_STOP_GRACE_PERIOD", "0.5")
    settings = ControllerSettings.load({"history_length": 30})
    assert (settings.history_length, settings.stop_grace_period) == (30, 0.5)


def test_the_length_of_the_list_has_an_earlier_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ControllerSettings.load({}).list_length == 10
    monkeypatch.setenv("OET_HISTORY_LENGTH", "20")
    assert ControllerSettings.load({}).list_length == 20
    monkeypatch.setenv("OET_LIST_LENGTH", "30")
    assert ControllerSettings.load({"history_length": 5}).list_length == 30
    assert ControllerSettings.load({"list_length": 0}).list_length == 0


def test_lists_come_from_commas_or_from_a_property_of_several_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OET_SCRIPT_ROOTS", " /one , /two,")
    assert ControllerSettings.load({}).script_roots == [Path("/one"), Path("/two")]
    assert ControllerSettings.load({"script_roots": ["/three"]}).script_roots == [Path("/three")]
    assert ControllerSettings.load({"git_repositories": "a,b"}).git_repositories == ["a", "b"]


def test_the_reference_variable_of_the_scripts_adds_a_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTS_LOCATION", "/observing")
    assert ControllerSettings.load({}).script_roots == [scripts_dir(), Path("/observing")]


def test_the_subarrays_that_may_be_commanded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ControllerSettings.load({}).subarrays == ALL
    monkeypatch.setenv("SUBARRAY_ID", "3")
    assert ControllerSettings.load({}).subarrays.ids == (3,)
    monkeypatch.setenv("OET_SUBARRAYS", "1,2")
    assert ControllerSettings.load({}).subarrays.ids == (1, 2)
    settings = ControllerSettings.load({"subarrays": "1-4", "subarray_count": 4})
    assert (settings.subarrays.ids, settings.subarrays.every) == ((1, 2, 3, 4), True)


@pytest.mark.parametrize("value", ["17", "one", "0"])
def test_a_bad_subarray_of_the_reference_variable_names_itself(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBARRAY_ID", value)
    with pytest.raises(InvalidArgument, match=f"^environment variable SUBARRAY_ID: .*{value}"):
        ControllerSettings.load({})


BAD: list[tuple[str, Any]] = [
    ("script_roots", "relative/path"),
    ("embedded_scripts", "perhaps"),
    ("abort_script", "http://x"),
    ("abort_timeout", "0"),
    ("exclusivity", "none"),
    ("subarrays", "0-3"),
    ("subarrays", "two"),
    ("subarrays", "17"),
    ("subarray_count", "0"),
    ("history_length", "-1"),
    ("list_length", "-1"),
    ("history_length", "many"),
    ("event_journal_length", "0"),
    ("stop_grace_period", "-0.1"),
    ("stop_grace_period", "nan"),
    ("stop_grace_period", "inf"),
    ("environment_timeout", "0"),
    ("max_idle_environments", "-1"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_property_names_itself(field: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^property {property_name(field)}: .*") as caught:
        ControllerSettings.load({field: value})
    assert value in str(caught.value)


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_variable_names_itself(field: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"OET_{field.upper()}", value)
    with pytest.raises(InvalidArgument, match=f"^environment variable OET_{field.upper()}: .*"):
        ControllerSettings.load({})


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as caught:
        ControllerSettings.load({"history_length": "x", "exclusivity": "y"})
    assert "property HistoryLength" in str(caught.value)
    assert "property Exclusivity" in str(caught.value)


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="NoSuchThing"):
        ControllerSettings.load({"no_such_thing": 1})


def test_the_largest_request_that_can_be_allowed_can_be_sent_to_a_worker() -> None:
    assert MOST_REQUEST_BYTES * 2 <= MAX_FRAME
    with pytest.raises(InvalidArgument, match="MaxRequestBytes"):
        ControllerSettings.load({"max_request_bytes": MOST_REQUEST_BYTES + 1})


def test_scans_are_counted_beside_the_history() -> None:
    assert ControllerSettings.load({}).scan_id_file is None
    assert default_scan_id_file("sqlite:////data/100%25%20me/history.db") == Path("/data/100% me/scan-ids")
    own = default_scan_id_file(default_history_url("a/b/c"))
    assert own.parts[-4:] == ("a", "b", "c", "scan-ids")
    shared = default_scan_id_file("postgresql://me@db/oet")
    assert shared == default_scan_id_file("postgresql://me@db/other")
    assert shared.is_absolute()


@pytest.mark.parametrize(("given", "known"), [("", None), ("/srv/scan-ids", Path("/srv/scan-ids"))])
def test_the_file_that_counts_scans_can_be_named(
    given: str, known: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OET_SCAN_ID_FILE", given)
    assert ControllerSettings.load({}).scan_id_file == known
    with pytest.raises(InvalidArgument, match=r"property ScanIdFile: .*absolute path"):
        ControllerSettings.load({"scan_id_file": "scan-ids"})
