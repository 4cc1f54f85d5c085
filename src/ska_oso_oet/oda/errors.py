"""The store of Scheduling Blocks raises these errors.

::

    OetError
    ├── NotFound
    │   ├── SBDefinitionNotFound
    │   └── SBInstanceNotFound
    ├── Rejected
    │   └── SBAlreadyExists
    └── OdaUnavailable
"""

from __future__ import annotations

from ska_oso_oet.errors import NotFound, OetError, Rejected


class SBDefinitionNotFound(NotFound):
    """No SBDefinition has this id, or it has no such version."""


class SBInstanceNotFound(NotFound):
    """No SBInstance has this id."""


class SBAlreadyExists(Rejected):
    """Another document is stored under this id and version; it is never overwritten."""


class OdaUnavailable(OetError):
    """The store cannot be reached, read or written; the message has the store and the reason."""

    code = "OET_OdaUnavailable"
