"""OdaInterface is the part of the controller's Tango interface that has the Scheduling Blocks of its ODA."""

from __future__ import annotations

from typing import Final

from tango.server import command

from ska_oso_oet.device.dev_failed import as_dev_failed
from ska_oso_oet.device.interface import ControllerInterface
from ska_oso_oet.device.requester import requester_of
from ska_oso_oet.device.work_log import log_request
from ska_oso_oet.oda.desk import SBDefinitionQuery, SBInstanceQuery, SBInstancesQuery
from ska_oso_oet.oda.sbdefinition import SBDefinition

_UNKNOWN: Final = "unknown"


class OdaInterface(ControllerInterface):
    """Commands of SBDefinitions and SBInstances: they return at once, and in every state."""

    @command(dtype_in=str, doc_in="SBDefinition as JSON", dtype_out=str, doc_out="JSON: oda, sbd")
    def AddSBDefinition(self, argin: str) -> str:
        """Store an SBDefinition; one that does not name its version becomes the next version."""
        with as_dev_failed("AddSBDefinition"):
            sbd = self.parsed(SBDefinition.submitted, argin)
            requester = requester_of(self)
            added = self.running_engine.oda_desk.add_sbd(sbd, _user(requester))
            log_request("AddSBDefinition", requester, "OK", f"{added.sbd.sbd_id} version {added.sbd.version}")
            return added.to_json()

    @command(dtype_out=str, doc_out="JSON: oda, sbds")
    def GetSBDefinitions(self) -> str:
        """List the newest version of every SBDefinition, by id."""
        with as_dev_failed("GetSBDefinitions"):
            return self.running_engine.oda_desk.sbds().to_json()

    @command(dtype_in=str, doc_in="JSON: sbd_id, version", dtype_out=str, doc_out="JSON: oda, sbd")
    def GetSBDefinition(self, argin: str) -> str:
        """Read an SBDefinition, by default its newest version."""
        with as_dev_failed("GetSBDefinition"):
            return self.running_engine.oda_desk.sbd(self.parsed(SBDefinitionQuery.parse, argin)).to_json()

    @command(dtype_in=str, doc_in="JSON: sbd_id, limit, page", dtype_out=str, doc_out="JSON: oda, sbis")
    def GetSBInstances(self, argin: str) -> str:
        """List SBInstances, newest first: what was executed of which SBDefinition."""
        with as_dev_failed("GetSBInstances"):
            return self.running_engine.oda_desk.sbis(self.parsed(SBInstancesQuery.parse, argin)).to_json()

    @command(dtype_in=str, doc_in="JSON: sbi_id", dtype_out=str, doc_out="JSON: oda, sbi")
    def GetSBInstance(self, argin: str) -> str:
        """Read an SBInstance."""
        with as_dev_failed("GetSBInstance"):
            return self.running_engine.oda_desk.sbi(self.parsed(SBInstanceQuery.parse, argin)).to_json()


def _user(requester: str | None) -> str:
    """Name the author of a document that names none: `alma` of `alma@desk pid 42`."""
    return (requester or _UNKNOWN).partition("@")[0]
