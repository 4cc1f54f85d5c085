"""`oet sbd` on a store in a directory, and which store it uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ska_oso_oet.cli import run
from ska_oso_oet.oda import OdaSettings, SBInstance, open_oda

EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"
MID = EXAMPLES / "mid.json"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"--data-dir={tmp_path / 'data'}"


def oet(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Run with --json; stdout must be one document, and stderr empty."""
    code = run(["sbd", *arguments, "--json"])
    output = capsys.readouterr()
    assert output.err == ""
    return code, json.loads(output.out)


def _without_version(path: Path, **changes: Any) -> str:
    document = json.loads(MID.read_text(encoding="utf-8"))
    del document["metadata"]["version"]
    path.write_text(json.dumps(document | changes), encoding="utf-8")
    return str(path)


def test_add_list_and_show(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = oet(capsys, "add", str(MID), str(EXAMPLES / "low.json"), store)
    assert code == 0
    assert document["oda"] == f"directory {tmp_path / 'data' / 'oda'}"
    assert [entry["sbd_id"] for entry in document["sbds"]] == ["sbd-mid-example", "sbd-low-example"]
    code, document = oet(capsys, "add", _without_version(tmp_path / "next.json"), store)
    assert (code, document["sbds"][0]["version"]) == (0, 2)

    code, document = oet(capsys, "list", store)
    assert code == 0
    listed = [(entry["sbd_id"], entry["version"], entry["telescope"]) for entry in document["sbds"]]
    assert listed == [("sbd-low-example", 1, "ska_low"), ("sbd-mid-example", 2, "ska_mid")]

    code, document = oet(capsys, "show", "sbd-mid-example", "--version=1", store)
    assert (code, document["sbd"]) == (0, json.loads(MID.read_text(encoding="utf-8")))
    code, document = oet(capsys, "show", "sbd-mid-example", store)
    assert document["sbd"]["metadata"]["version"] == 2


def test_what_people_read(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sbd", "add", str(MID), store]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == f"ODA: directory {tmp_path / 'data' / 'oda'}"
    assert lines[2] == "SB ID Version Telescope Activities"
    assert lines[4] == "sbd-mid-example 1 ska_mid allocate, observe, greet"
    assert run(["sbd", "show", "sbd-mid-example", store]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(MID.read_text(encoding="utf-8"))


def test_bad_documents_are_named_with_the_path_and_nothing_is_stored(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _without_version(
        tmp_path / "bad.json",
        telescope="alma",
        activities={"observe": {"kind": "filesystem", "path": "x.py"}},
    )
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    missing = str(tmp_path / "missing.json")
    code, document = oet(capsys, "add", str(MID), bad, str(tmp_path / "broken.json"), missing, store)
    assert (code, document["error"]["code"]) == (2, "OET_InvalidArgument")
    of_bad, of_broken, of_missing = document["error"]["message"].splitlines()
    assert of_bad.startswith(f"{bad}: ")
    assert "telescope: a telescope is ska_mid or ska_low (got 'alma')" in of_bad
    assert "activities.observe.path: a file://… URI is expected" in of_bad
    assert of_broken.startswith(f"{tmp_path / 'broken.json'}: Invalid JSON")
    assert of_missing == f"{missing}: No such file or directory"
    assert oet(capsys, "list", store)[1]["sbds"] == []


def test_a_stored_version_is_not_replaced(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(MID.read_text(encoding="utf-8").replace("Polaris", "Vega"), encoding="utf-8")
    code, document = oet(capsys, "add", str(MID), str(other), store)
    assert (code, document["error"]["code"]) == (3, "OET_Rejected")
    message = document["error"]["message"]
    assert message.startswith(f"{other}: another document is stored as sbd-mid-example version 1")
    assert message.endswith(f"(stored before it: {MID})")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["show", "sbd-none"], 3, "OET_NotFound"),
        (["show", "sbd-none", "--version=0"], 2, "OET_InvalidArgument"),
        (["show", "../etc"], 2, "OET_InvalidArgument"),
        (["list", "--limit=3"], 2, "OET_InvalidArgument"),
        (["add"], 2, "OET_InvalidArgument"),
    ],
)
def test_a_refusal_is_a_code(
    store: str, arguments: list[str], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, document = oet(capsys, *arguments, store)
    assert (found, document["error"]["code"]) == (code, reason)


def test_a_store_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "oda").write_text("in the way", encoding="utf-8")
    code, document = oet(capsys, "add", str(MID), f"--data-dir={tmp_path}")
    assert (code, document["error"]["code"]) == (6, "OET_OdaUnavailable")
    assert str(tmp_path / "oda") in document["error"]["message"]


def test_the_name_of_a_store_has_no_password() -> None:
    given = {"backend": "postgres", "url": "postgresql://me:secret@oda.example:5433/blocks"}
    assert open_oda(OdaSettings.parse(given)).name == "database blocks at oda.example:5433"
    given = {"backend": "postgres", "host": "oda.example", "password": "secret"}
    assert open_oda(OdaSettings.parse(given)).name == "database postgres at oda.example:5432"


def test_instances_are_listed_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = {"activity_ref": "observe", "executed_at": "2024-03-28T15:43:53+00:00"}
    given = {"sbi_id": "sbi-1", "telescope": "ska_mid", "sbd_ref": "sbd-1", "sbd_version": 2}
    oda = open_oda(OdaSettings(data_dir=tmp_path / "data" / "oda"))
    oda.add_sbi(SBInstance.parse({**given, "activities": [call]}), "operator")
    store = f"--data-dir={tmp_path / 'data'}"
    assert run(["sbi", "list", store]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == "SBI ID SB ID Version Activities Executed at"
    assert lines[4] == "sbi-1 sbd-1 2 observe 2024-03-28T15:43:53+00:00"
    assert run(["sbi", "list", "--sbd-id=sbd-2", "--json", store]) == 0
    assert json.loads(capsys.readouterr().out)["sbis"] == []
    assert run(["sbi", "show", "sbi-1", store]) == 0
    assert json.loads(capsys.readouterr().out) == {**given, "activities": [call]}
    assert run(["sbi", "show", "sbi-2", store]) == 3


def test_a_draft_is_printed_with_the_id_that_it_was_given(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = EXAMPLES.parent / "original" / "sbd" / "mid-scan-definitions.json"
    code, document = oet(capsys, "add", str(draft), store)
    (entry,) = document["sbds"]
    assert (code, entry["version"], entry["activities"]) == (0, 1, ["observe"])
    code, document = oet(capsys, "show", entry["sbd_id"], store)
    assert (code, document["sbd"]["sbd_id"]) == (0, entry["sbd_id"])
