"""The types of the messages between the pool and its ScriptWorkers."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

SPARE_NAME: Final = "oet-spare"
"""What ps and top call a worker that has no procedure yet."""


class Order(StrEnum):
    """What a ScriptWorker is told.

    LOAD: a LoadOrder. RUN: `{"fn_name", "args", "offered"}`. PUBSUB: `{"topic", "data"}`, an event of the
    bus.
    """

    LOAD = "LOAD"
    RUN = "RUN"
    PUBSUB = "PUBSUB"


class Word(StrEnum):
    """What a ScriptWorker tells.

    REPORT: a Report. PUBSUB: `{"topic", "data"}`, an event that its script published. INTEREST: the topics
    that its script listens to. LOG: `{"level", "text"}`, a record of its script's log.
    """

    REPORT = "REPORT"
    PUBSUB = "PUBSUB"
    INTEREST = "INTEREST"
    LOG = "LOG"
