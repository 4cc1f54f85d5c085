"""The queries of the history, and what they return."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StrictInt, StrictStr, field_validator, model_validator

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import ProcedureState, ProcedureSummary

MAX_LIMIT: Final = 1000


class HistoryQuery(Model):
    """The argument of GetHistory: which procedures, newest first, `limit` to a page.

    `state` is one state or several; `since` is the earliest creation in seconds since 1970; `script` is a
    part of a URI or name, in upper or lower case. What is left out does not count.
    """

    state: list[ProcedureState] = Field(default_factory=list)
    since: Annotated[float, Field(allow_inf_nan=False)] | None = None
    script: StrictStr | None = None
    subarray_id: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_LIMIT)] = 50
    page: Annotated[StrictInt, Field(ge=1, le=2**31)] = 1

    @field_validator("state", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if value is None:
            return []
        return [value] if isinstance(value, str) else value


class PruneQuery(Model):
    """The argument of PruneHistory: what is deleted of procedures and activities that have ended.

    `older_than` (s) is the age of the end; the newest `keep` stay whatever their age. One is needed.
    """

    older_than: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    keep: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> PruneQuery:
        if self.older_than is None and self.keep is None:
            raise ValueError("older_than (seconds) or keep (a number of procedures) is expected")
        return self


class Pruned(Model):
    """How many were deleted."""

    procedures: int
    activities: int


class ProcedureEntry(ProcedureSummary):
    """A procedure as the history lists it.

    `epoch` is the controller's run; `environment` is the Python environment that it ran in, null for the
    controller's own.
    """

    epoch: str
    environment: str | None


class HistoryPage(Model):
    """What GetHistory returns: a page of procedures, newest first, and how many match in all."""

    procedures: list[ProcedureEntry]
    total: int
