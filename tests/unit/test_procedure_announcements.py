"""What the service publishes of a procedure: each state once, and what was lost with a controller before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ska_oso_oet.event.bus import EventBus
from ska_oso_oet.event.journal import Event, EventJournal
from ska_oso_oet.procedure.application import ScriptExecutionService
from ska_oso_oet.procedure.changes import ProcedureChange
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import CallArgs, Procedure, ProcedureState
from ska_oso_oet.source.script import GitScript

S = ProcedureState
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GIT: dict[str, Any] = {
    "script_type": "git",
    "script_uri": "git://scripts/observe.py",
    "git_args": {"git_repo": "https://gitlab.com/ska-telescope/oso/ska-oso-scripting"},
}


class NoWorkers:
    """A pool whose workers do nothing by themselves."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Bench:
    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.later: list[Any] = []
        self.bus = EventBus(EventJournal("e", 1000, clock=lambda: 0.0), self.later.append)
        self.bus.subscribe(self.heard.append)
        self.service = ScriptExecutionService(self.bus, lambda: 0.0)
        self.service.use(NoWorkers())

    def published(self) -> list[tuple[str, Any]]:
        for deliver in self.later:
            deliver()
        self.later.clear()
        return [(event.topic, json.loads(event.json)["data"]) for event in self.heard]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_state_of_a_git_procedure_is_published_once(bench: Bench) -> None:
    number = bench.service.prepare(PrepareProcessCommand.parse({"script": GIT})).id
    for state in (S.IDLE, S.LOADING):
        bench.service.on_state(number, state)
    bench.service.on_commit(number, COMMIT)
    bench.service.on_state(number, S.IDLE)
    published = bench.published()
    states = [data["new_state"] for topic, data in published if topic == "procedure.lifecycle.statechange"]
    assert states == ["CREATING", "IDLE", "LOADING", "IDLE"]
    newest = bench.heard[-1].subject or bench.heard[-2].subject
    assert isinstance(newest, ProcedureChange)
    assert isinstance(newest.summary.script, GitScript)
    assert newest.summary.script.git_args.git_commit == COMMIT


def test_what_was_lost_with_an_earlier_controller_is_announced_in_the_words_of_this_one(bench: Bench) -> None:
    procedure = Procedure(
        7, PrepareProcessCommand.parse({"script": GIT}).script, CallArgs(), 1.0, "command-1"
    )
    procedure.advance(S.FAILED, 2.0)
    bench.service.announce_lost([procedure.summary()])
    (change, state), (end, result) = bench.published()
    assert (change, state) == ("procedure.lifecycle.statechange", {"new_state": "FAILED"})
    assert (end, result["result"]["id"]) == ("procedure.lifecycle.failed", 7)
    assert {json.loads(event.json)["request_id"] for event in bench.heard} == {"command-1"}
    assert {event.procedure_id for event in bench.heard} == {7}
