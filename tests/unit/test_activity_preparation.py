"""From the request for an activity to the command that prepares its script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ska_oso_oet.activity.domain import ActivityCommand
from ska_oso_oet.activity.preparation import Preparation, Preparer, SBFileError, SBFiles
from ska_oso_oet.errors import NotFound, OetError, Rejected
from ska_oso_oet.oda import (
    OdaUnavailable,
    SBDefinition,
    SBDefinitionEntry,
    SBDefinitionNotFound,
    SBInstance,
    SBInstanceEntry,
)
from ska_oso_oet.procedure.domain import ProcedureInput
from ska_oso_oet.procedure.subarrays import Subarrays
from ska_oso_oet.source.script import EmbeddedStringScript, FileSystemScript, GitArgs, GitScript

EXAMPLES = Path(__file__).parent.parent / "data" / "sbd"
MID = SBDefinition.parse((EXAMPLES / "mid.json").read_text(encoding="utf-8"))
LOW = SBDefinition.parse((EXAMPLES / "low.json").read_text(encoding="utf-8"))
NOW = 1673013407.655175


class MemoryOda:
    """A store for rules: one version of each SBDefinition, and SBInstances as they were added."""

    def __init__(self, *sbds: SBDefinition, full: bool = False) -> None:
        self.sbds = {sbd.sbd_id: sbd for sbd in sbds}
        self.full = full
        self.sbis: list[SBInstance] = []

    def get_sbd(self, sbd_id: str, version: int | None = None) -> SBDefinition:
        if sbd_id not in self.sbds or version not in {None, 1}:
            raise SBDefinitionNotFound(f"no {sbd_id} version {version}")
        return self.sbds[sbd_id]

    def add_sbi(self, sbi: SBInstance, user: str) -> None:
        if self.full:
            raise OdaUnavailable("the disk is full")
        self.sbis.append(sbi)

    @property
    def name(self) -> str:
        return "memory"

    def list_sbds(self) -> list[SBDefinitionEntry]:
        raise NotImplementedError

    def add_sbd(self, sbd: SBDefinition, user: str) -> SBDefinition:
        raise NotImplementedError

    def get_sbi(self, sbi_id: str) -> SBInstance:
        raise NotImplementedError

    def list_sbis(self, sbd_id: str | None, limit: int, skipped: int = 0) -> list[SBInstanceEntry]:
        raise NotImplementedError

    def check(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def prepare(
    oda: MemoryOda, directory: Path, activity: str, sbd: SBDefinition = MID, **request: Any
) -> Preparation:
    telescope = "skalow" if sbd is LOW else "skamid"
    command = ActivityCommand.parse({"activity_name": activity, "sbd_id": sbd.sbd_id} | request)
    return Preparer(oda, SBFiles(directory), telescope).prepare(command, NOW)


def test_a_script_from_a_file(tmp_path: Path) -> None:
    oda = MemoryOda(LOW)
    preparation = prepare(oda, tmp_path, "allocate", LOW)
    sbi_id = oda.sbis[0].sbi_id
    assert preparation.sbd_version == 1
    assert preparation.sbi_id == sbi_id
    assert preparation.command.script == FileSystemScript(
        script_uri="file:///scripts/allocate_from_file_sb.py"
    )
    assert preparation.command.script_args.init == ProcedureInput(subarray_id=2)
    assert preparation.command.script_args.main == ProcedureInput(
        sb_json=str(preparation.sb_file), sbi_id=sbi_id
    )


def test_a_script_from_git(tmp_path: Path) -> None:
    preparation = prepare(MemoryOda(MID), tmp_path, "observe", create_env=True)
    assert preparation.command.script == GitScript(
        script_uri="git:///scripts/observe_sb.py",
        git_args=GitArgs(
            git_repo="https://gitlab.com/ska-telescope/oso/ska-oso-scripting.git", git_branch="master"
        ),
        create_env=True,
    )


def test_a_script_in_the_document(tmp_path: Path) -> None:
    script = prepare(MemoryOda(MID), tmp_path, "greet").command.script
    assert isinstance(script, EmbeddedStringScript)
    assert script.script_source.startswith("def main(sb_json, sbi_id):")
    assert script.script_name == "greet of sbd-mid-example"


def test_the_users_arguments_win(tmp_path: Path) -> None:
    user = {"init": {"kwargs": {"subarray_id": 7}}, "main": {"kwargs": {"repeats": 2}}}
    oda = MemoryOda(MID)
    args = prepare(oda, tmp_path, "observe", script_args=user).command.script_args
    assert args.init.kwargs == {"subarray_id": 7}
    assert args.main.kwargs["scan_duration"] == 14.0
    assert args.main.kwargs["repeats"] == 2


def test_the_file_has_the_whole_document(tmp_path: Path) -> None:
    path = prepare(MemoryOda(MID), tmp_path / "sbs", "observe").sb_file
    assert path == tmp_path / "sbs" / "sbd-mid-example-1-20230106T135647.655175Z.json"
    assert json.loads(path.read_text(encoding="utf-8")) == MID.to_dict()


def test_activities_at_the_same_moment_have_files_of_their_own(tmp_path: Path) -> None:
    paths = {prepare(MemoryOda(MID), tmp_path, "observe").sb_file for _ in range(3)}
    assert len(paths) == 3
    assert set(tmp_path.iterdir()) == paths


def test_the_execution_is_recorded(tmp_path: Path) -> None:
    oda = MemoryOda(MID)
    prepare(oda, tmp_path, "observe", script_args={"main": {"kwargs": {"repeats": 2}}})
    recorded = oda.sbis[0].to_dict()
    assert (recorded["sbd_ref"], recorded["sbd_version"]) == ("sbd-mid-example", 1)
    assert recorded["telescope"] == "ska_mid"
    assert recorded["activities"] == [
        {
            "activity_ref": "observe",
            "executed_at": "2023-01-06T13:56:47.655175+00:00",
            "runtime_args": [
                {"function_name": "init", "function_args": {"args": [], "kwargs": {"subarray_id": 1}}},
                {
                    "function_name": "main",
                    "function_args": {"args": [], "kwargs": {"scan_duration": 14.0, "repeats": 2}},
                },
            ],
        }
    ]


def test_every_execution_has_an_id_of_its_own(tmp_path: Path) -> None:
    oda = MemoryOda(MID)
    assert len({prepare(oda, tmp_path, "observe").sbi_id for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        ({"sbd_id": "sbd-x"}, SBDefinitionNotFound, "sbd-x"),
        ({"sbd_version": 4}, SBDefinitionNotFound, "version 4"),
        ({"activity": "fly"}, NotFound, "no activity 'fly'; there are: allocate, observe, greet"),
        ({"activity": "greet", "create_env": True}, Rejected, "create_env"),
        ({"sbd_id": "sbd-low-example"}, Rejected, "is for ska_low, and this OET controls skamid"),
    ],
)
def test_what_cannot_be_run_says_why_and_leaves_nothing(
    tmp_path: Path, request_: dict[str, Any], kind: type[OetError], words: str
) -> None:
    oda = MemoryOda(MID, LOW)
    with pytest.raises(kind, match=words):
        prepare(oda, tmp_path, request_.pop("activity", "observe"), **request_)
    assert oda.sbis == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_full_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(OdaUnavailable):
        prepare(MemoryOda(MID, full=True), tmp_path, "observe")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "sbs").write_text("in the way", encoding="utf-8")
    oda = MemoryOda(MID)
    with pytest.raises(SBFileError, match=str(tmp_path / "sbs")):
        prepare(oda, tmp_path / "sbs", "observe")
    assert oda.sbis == []


def test_a_subarray_of_another_controller_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    oda = MemoryOda(MID)
    request = {"script_args": {"init": {"kwargs": {"subarray_id": 1}}}}
    command = ActivityCommand.parse({"activity_name": "allocate", "sbd_id": MID.sbd_id} | request)
    preparer = Preparer(oda, SBFiles(tmp_path), "skamid", Subarrays.read("2,3", 16))
    with pytest.raises(Rejected, match=r"subarrays? 2.*3.*, not subarray 1"):
        preparer.prepare(command, NOW)
    assert oda.sbis == []
    assert list(tmp_path.rglob("*.json")) == []


def test_a_subarray_that_a_document_writes_as_text_is_that_subarray(tmp_path: Path) -> None:
    text = MID.to_dict()
    text["activities"]["allocate"]["function_args"]["init"]["kwargs"]["subarray_id"] = "1"
    oda = MemoryOda(SBDefinition.parse(text))
    assert prepare(oda, tmp_path, "allocate").command.script_args.init == ProcedureInput(subarray_id=1)
    assert '"subarray_id": "1"' not in str(oda.sbis[0].to_dict())
    command = ActivityCommand.parse({"activity_name": "allocate", "sbd_id": MID.sbd_id})
    elsewhere = Preparer(oda, SBFiles(tmp_path), "skamid", Subarrays.read("2,3", 16))
    with pytest.raises(Rejected, match="not subarray 1"):
        elsewhere.prepare(command, NOW)
