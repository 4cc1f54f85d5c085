"""What clients ask of the ODA: answers as JSON, and an end of the waiting."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.oda import OdaSettings, OdaUnavailable, SBDefinition, open_oda
from ska_oso_oet.oda.desk import OdaDesk, SBDefinitionQuery, SBInstancesQuery, StoredSBDefinition
from ska_oso_oet.oda.filesystem import FilesystemOda

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ska_oso_oet.oda import SBDefinitionEntry

MID = json.loads((Path(__file__).parent.parent / "data" / "sbd" / "mid.json").read_text(encoding="utf-8"))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[OdaDesk]:
    opened = OdaDesk(open_oda(OdaSettings(data_dir=tmp_path)))
    yield opened
    opened.close()


def test_a_document_comes_back_whole(desk: OdaDesk, tmp_path: Path) -> None:
    added = desk.add_sbd(SBDefinition.parse(MID), "operator")
    assert added.oda == f"directory {tmp_path}"
    read = desk.sbd(SBDefinitionQuery(sbd_id="sbd-mid-example"))
    assert StoredSBDefinition.parse(read.to_json()).sbd.to_dict() == MID
    assert [entry.sbd_id for entry in desk.sbds().sbds] == ["sbd-mid-example"]
    assert desk.sbis(SBInstancesQuery()).sbis == ()


class HangingOda(FilesystemOda):
    """A store that lists nothing before it is let go."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.let_go = threading.Event()

    def list_sbds(self) -> list[SBDefinitionEntry]:
        self.let_go.wait()
        return []


def test_who_asks_a_store_that_hangs_is_answered(tmp_path: Path) -> None:
    oda = HangingOda(tmp_path)
    desk = OdaDesk(oda, within=0.0)
    with pytest.raises(OdaUnavailable, match=r"has not answered within 0 s"):
        desk.sbds()
    oda.let_go.set()
    desk.close()
