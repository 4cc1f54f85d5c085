"""SBDefinition: everything in a document is kept, what the OET needs of it is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.oda import SBDefinition, SBDefinitionEntry
from ska_oso_oet.oda.document import telescope_name
from ska_oso_oet.oda.sbdefinition import FileSystemActivity, GitActivity, InlineActivity

EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"
ORIGINAL = EXAMPLES.parent / "original" / "sbd"
SMALL: dict[str, Any] = {"interface": "x", "sbd_id": "sbd-1", "telescope": "ska_mid"}

json_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=10,
)


def fault_of(document: dict[str, Any]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        SBDefinition.parse(document)
    return str(caught.value)


@pytest.mark.parametrize("name", ["mid.json", "low.json"])
def test_examples_come_back_as_they_were_given(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    sbd = SBDefinition.parse(text)
    in_order = json.dumps(json.loads(text))
    assert sbd.to_json() == in_order
    assert json.dumps(sbd.to_dict()) == in_order
    assert json.dumps(json.loads(sbd.model_dump_json())) == in_order
    assert json.dumps(SBDefinition.parse(sbd.to_dict()).model_dump()) == in_order


@given(st.dictionaries(json_text.filter(lambda key: key not in SBDefinition.model_fields), json_values))
def test_keys_that_the_oet_does_not_know_are_kept(extra: dict[str, Any]) -> None:
    document = SMALL | extra
    assert SBDefinition.parse(document).to_dict() == document
    assert SBDefinition.parse(json.dumps(document)).to_dict() == document


def test_what_is_read_is_a_copy() -> None:
    sbd = SBDefinition.parse(SMALL)
    sbd.to_dict()["sbd_id"] = "other"
    assert sbd.to_dict() == SMALL


def test_kinds_of_activities() -> None:
    activities = SBDefinition.parse((EXAMPLES / "mid.json").read_text(encoding="utf-8")).activities
    assert isinstance(activities["allocate"], FileSystemActivity)
    assert activities["allocate"].function_args.init.kwargs == {"subarray_id": 1}
    assert isinstance(activities["observe"], GitActivity)
    assert activities["observe"].branch == "master"
    assert activities["observe"].function_args.main.kwargs == {"scan_duration": 14.0}
    assert isinstance(activities["greet"], InlineActivity)
    assert activities["greet"].function_args.main.kwargs == {}


def test_run_is_another_name_of_main() -> None:
    document = SMALL | {
        "activities": {"a": {"kind": "inline", "content": "", "function_args": {"run": {"kwargs": {"n": 1}}}}}
    }
    sbd = SBDefinition.parse(document)
    assert sbd.activities["a"].function_args.main.kwargs == {"n": 1}
    assert sbd.to_dict() == document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sbd_id": "../../etc/passwd"}, "sbd_id: "),
        ({"sbd_id": "sbd-1\n"}, "sbd_id: "),
        ({"sbd_id": ".hidden"}, "sbd_id: "),
        ({"sbd_id": "x" * 129}, "sbd_id: "),
        ({"sbd_id": 7}, "sbd_id: "),
        ({"telescope": "hubble"}, "telescope: "),
        ({"metadata": {"version": 0}}, "metadata.version: "),
        ({"metadata": {"version": "1"}}, "metadata.version: "),
        ({"metadata": {"version": True}}, "metadata.version: "),
        ({"activities": {"a.b": {"kind": "ftp"}}}, "activities.a.b: "),
        ({"activities": {"a": {"path": "file:///x.py"}}}, "activities.a: "),
        ({"activities": {"a": {"kind": "filesystem"}}}, "activities.a.path: Field required"),
        ({"activities": {"a": {"kind": "filesystem", "path": "x.py"}}}, "activities.a.path: "),
        ({"activities": {"a": {"kind": "git", "path": "file:///x.py"}}}, "activities.a.path: "),
        (
            {"activities": {"a": {"kind": "inline", "content": "", "function_args": {"mian": {}}}}},
            "activities.a.function_args.mian: ",
        ),
        (
            {
                "activities": {
                    "a": {"kind": "inline", "content": "", "function_args": {"main": {}, "run": {}}}
                }
            },
            "activities.a.function_args.run: ",
        ),
        (
            {"activities": {"a": {"kind": "inline", "content": "", "function_args": {"init": {"args": {}}}}}},
            "activities.a.function_args.init.args: ",
        ),
        ({"note": "half a surrogate: \ud800"}, "not JSON"),
        ({"note": float("nan")}, "not JSON"),
        ({"note": "NUL: \0"}, "NUL"),
        ({"note": object()}, "not JSON"),
    ],
)
def test_a_fault_is_named_by_its_path(change: dict[str, Any], words: str) -> None:
    assert words in fault_of(SMALL | change)


def test_every_fault_is_named() -> None:
    fault = fault_of({"interface": "x", "telescope": "hubble"})
    assert "sbd_id: Field required" in fault
    assert "telescope: " in fault


def test_text_that_is_not_json_is_a_fault() -> None:
    with pytest.raises(InvalidArgument, match="Invalid JSON"):
        SBDefinition.parse('{"interface": ')


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert SBDefinition.parse(SMALL | {"note": "\\u0000"}).to_dict()["note"] == "\\u0000"


@pytest.mark.parametrize("name", ["ska_mid", "skamid", "mid", "SKA-Mid", "MID"])
def test_names_of_mid(name: str) -> None:
    assert telescope_name(name) == "skamid"
    assert SBDefinition.parse(SMALL | {"telescope": name}).to_dict()["telescope"] == name


@pytest.mark.parametrize("name", ["ska_low", "skalow", "low", "Low"])
def test_names_of_low(name: str) -> None:
    assert telescope_name(name) == "skalow"


def test_stamp_tells_version_and_author() -> None:
    stamped = SBDefinition.parse(SMALL | {"targets": []}).stamped(3, "operator", now=0.0)
    assert stamped.version == 3
    assert stamped.to_dict()["metadata"] == {
        "created_by": "operator",
        "created_on": "1970-01-01T00:00:00+00:00",
        "last_modified_by": "operator",
        "last_modified_on": "1970-01-01T00:00:00+00:00",
        "version": 3,
    }
    assert stamped.to_dict()["targets"] == []


def test_stamp_keeps_the_author_that_the_document_names() -> None:
    sbd = SBDefinition.parse(SMALL | {"metadata": {"created_by": "astronomer", "x": 1}})
    metadata = sbd.stamped(1, "operator", now=0.0).to_dict()["metadata"]
    assert (metadata["created_by"], metadata["last_modified_by"], metadata["x"]) == (
        "astronomer",
        "operator",
        1,
    )


def test_a_stored_document_has_the_version_it_is_stored_as() -> None:
    assert SBDefinition.stored_as("sbd-1", 4, SMALL).version == 4
    with pytest.raises(InvalidArgument, match=r"sbd-1 version 4: metadata\.version: the document says 2"):
        SBDefinition.stored_as("sbd-1", 4, SMALL | {"metadata": {"version": 2}})
    with pytest.raises(InvalidArgument, match="sbd-2 version 1: sbd_id: the document says sbd-1"):
        SBDefinition.stored_as("sbd-2", 1, SMALL)


@pytest.mark.parametrize("document", [None, [], {"telescope": 1, "activities": 2}])
def test_an_unreadable_document_can_be_listed(document: object) -> None:
    assert SBDefinitionEntry.of("sbd-1", 2, document) == SBDefinitionEntry(
        sbd_id="sbd-1", version=2, telescope=None, activities=()
    )


@pytest.mark.parametrize("path", sorted(ORIGINAL.glob("*.json")), ids=lambda path: path.stem)
def test_documents_of_all_releases_can_be_stored(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    sbd = SBDefinition.submitted(path.read_bytes())
    assert sbd.to_dict() == {**content, "sbd_id": sbd.sbd_id}
    for activity in sbd.activities.values():
        assert isinstance(activity, FileSystemActivity | GitActivity)
        prefix = "file://" if isinstance(activity, FileSystemActivity) else "git://"
        assert activity.path.startswith(prefix)


@pytest.mark.parametrize("draft", [{"interface": "x", "telescope": "ska_mid"}, SMALL | {"sbd_id": None}])
def test_a_draft_is_given_an_id_when_it_is_to_be_stored(draft: dict[str, Any]) -> None:
    ids = {SBDefinition.submitted(given).sbd_id for given in (draft, json.dumps(draft))}
    assert len(ids) == 2
    assert all(sbd_id.startswith("sbd-") for sbd_id in ids)
    assert SBDefinition.submitted(SMALL).sbd_id == "sbd-1"


@pytest.mark.parametrize(
    ("source", "words"),
    [("{", "Invalid JSON"), ("[]", "object"), ('{"telescope": "ska_mid"}', "interface: ")],
)
def test_what_cannot_be_stored_is_named(source: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        SBDefinition.submitted(source)


@pytest.mark.parametrize("levels", [150, 5_000])
def test_a_document_of_too_many_levels_is_refused_in_words(levels: int) -> None:
    document = json.dumps(json.loads((EXAMPLES / "low.json").read_text()))
    deep = f'{document[:-1]}, "deep": {"[" * levels}{"]" * levels}}}'
    with pytest.raises(InvalidArgument, match=r"levels|recursion limit"):
        SBDefinition.submitted(deep)
