"""The messages between the pool and its ScriptWorkers have these types."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from ska_oso_oet.models import Model
from ska_oso_oet.procedure.domain import ProcedureInput

SPARE_NAME: Final = "oet-spare"
"""What ps and top call a worker that has no procedure yet."""
SPARE_OOM_SCORE: Final = 600
SCRIPT_OOM_SCORE: Final = 1000
"""When memory runs out, it is a script that ends, before the spares, the fork server and the controller."""


class Order(StrEnum):
    """What a ScriptWorker is ordered to do.

    LOAD: a LoadOrder. RUN: a RunOrder. PUBSUB: `{"topic", "data"}`, an event of the bus.
    """

    LOAD = "LOAD"
    RUN = "RUN"
    PUBSUB = "PUBSUB"


class RunOrder(Model):
    """What RUN carries: a function of the script and its arguments.

    Keyword arguments that are `offered` are passed only to a function that has such parameters.
    """

    fn_name: str
    args: ProcedureInput = ProcedureInput()
    offered: list[str] = Field(default_factory=list)


class Word(StrEnum):
    """What a ScriptWorker reports.

    REPORT: a Report. PUBSUB: `{"topic", "data"}`, an event that its script published. INTEREST: the topics
    that its script listens to. LOG: `{"level", "text"}`, a record of its script's log.
    """

    REPORT = "REPORT"
    PUBSUB = "PUBSUB"
    INTEREST = "INTEREST"
    LOG = "LOG"
