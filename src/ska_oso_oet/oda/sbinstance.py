"""An SBInstance records that an activity of an SBDefinition was executed.

The format is that of the SKA Project Data Model (`https://schema.skao.int/ska-oso-pdm-sbi/0.1`).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StrictStr

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.oda.document import Document, DocumentPart, Identifier, Telescope, Version
from ska_oso_oet.procedure.domain import ProcedureInput

INTERFACE: Final = "https://schema.skao.int/ska-oso-pdm-sbi/0.1"


class FunctionArgs(DocumentPart):
    """The arguments that one function of the script was called with."""

    function_name: StrictStr
    function_args: ProcedureInput = ProcedureInput()


class ActivityCall(DocumentPart):
    """One execution: which activity, when (ISO 8601), and with which arguments."""

    activity_ref: StrictStr
    executed_at: StrictStr
    runtime_args: list[FunctionArgs] = Field(default_factory=list)


class SBInstance(Document):
    """What was executed of which version of which SBDefinition."""

    interface: StrictStr = INTERFACE
    sbi_id: Identifier
    telescope: Telescope
    sbd_ref: Identifier
    sbd_version: Version
    activities: Annotated[list[ActivityCall], Field(min_length=1)]


class SBInstanceEntry(Model):
    """One line of a list of SBInstances: what was executed of which SBDefinition, and when (ISO 8601).

    A document that cannot be read is listed with its id alone.
    """

    sbi_id: str
    sbd_id: str | None = None
    sbd_version: int | None = None
    telescope: str | None = None
    activities: tuple[str, ...] = ()
    executed_at: str | None = None

    @classmethod
    def of(cls, sbi_id: str, document: object) -> SBInstanceEntry:
        """Make an entry of a document that may be anything."""
        try:
            sbi = SBInstance.parse(document if isinstance(document, dict) else {})
        except InvalidArgument:
            return cls(sbi_id=sbi_id)
        return cls(
            sbi_id=sbi_id,
            sbd_id=sbi.sbd_ref,
            sbd_version=sbi.sbd_version,
            telescope=sbi.telescope,
            activities=tuple(call.activity_ref for call in sbi.activities),
            executed_at=sbi.activities[0].executed_at,
        )
