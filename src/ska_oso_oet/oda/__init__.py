"""Scheduling Blocks are kept in stores behind one protocol."""

from ska_oso_oet.oda.errors import OdaUnavailable, SBAlreadyExists, SBDefinitionNotFound, SBInstanceNotFound
from ska_oso_oet.oda.sbdefinition import SBDefinition, SBDefinitionEntry
from ska_oso_oet.oda.sbinstance import SBInstance, SBInstanceEntry
from ska_oso_oet.oda.settings import OdaSettings
from ska_oso_oet.oda.store import Oda, open_oda

__all__ = [
    "Oda",
    "OdaSettings",
    "OdaUnavailable",
    "SBAlreadyExists",
    "SBDefinition",
    "SBDefinitionEntry",
    "SBDefinitionNotFound",
    "SBInstance",
    "SBInstanceEntry",
    "SBInstanceNotFound",
    "open_oda",
]
