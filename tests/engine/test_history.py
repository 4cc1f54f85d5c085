"""The history in a real SQLite file and a real PostgreSQL: what is recorded, asked, recovered and pruned."""

from __future__ import annotations

import itertools
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ska_oso_oet.activity.domain import ActivityState
from ska_oso_oet.errors import ActivityNotFound, InvalidArgument, ProcedureNotFound
from ska_oso_oet.history import migrations
from ska_oso_oet.history.backlog import Rows
from ska_oso_oet.history.database import HistoryDatabase, parse_url
from ska_oso_oet.history.queries import HistoryPage, HistoryQuery, Pruned, PruneQuery
from ska_oso_oet.history.rows import procedure_row
from ska_oso_oet.history.tables import PROCEDURES, REQUESTS, SUBARRAYS
from ska_oso_oet.procedure.domain import (
    CallArgs,
    Procedure,
    ProcedureInput,
    ProcedureState,
    ProcedureSummary,
)
from ska_oso_oet.source.environment import environment_id
from ska_oso_oet.source.script import EmbeddedStringScript, FileSystemScript, GitArgs, GitScript
from tests.engine.history_rig import OBSERVE, Rig
from tests.engine.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

S = ProcedureState


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[PostgresServer]:
    running = PostgresServer()
    yield running
    running.close()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, server: PostgresServer, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/history.db"
        return
    with server.database("history") as url:
        yield url


@pytest.fixture
def start(url: str) -> Iterator[Callable[..., Rig]]:
    """Start controllers on one database; each ends before the next begins, and all at the end."""
    rigs: list[Rig] = []
    epochs = (f"run-{number}" for number in itertools.count(1))

    def begin(**options: Any) -> Rig:
        rigs.append(Rig(url, next(epochs), **options))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.close()


def page(rig: Rig, **query: Any) -> HistoryPage:
    return HistoryPage.parse(rig.history.list(HistoryQuery.parse(query)))


def ids(rig: Rig, **query: Any) -> list[int]:
    return [procedure.id for procedure in page(rig, **query).procedures]


def prune(rig: Rig, **query: Any) -> Pruned | Exception:
    outcomes: list[Pruned | Exception] = []
    rig.history.prune(PruneQuery.parse(query), outcomes.append)
    rig.flush()
    return outcomes[0]


# ---------------------------------------------------------------- what is recorded


def test_a_procedure_is_recorded_with_all_that_is_known_of_it(start: Callable[..., Rig]) -> None:
    rig = start()
    script = GitScript(
        script_uri="git:///a.py", git_args=GitArgs(git_repo="https://user:pw@host/r.git"), create_env=True
    )
    rig.history.note_request("command-1", "CreateProcedure", "alma@desk.example")
    record = rig.create(script=script, command_id="command-1")
    record.procedure.at_commit("c0ffee")
    rig.write_output(record, "one", "two")
    rig.enter(record, S.RUNNING, S.COMPLETE)
    rig.flush()

    (entry,) = page(rig).procedures
    assert (entry.requester, entry.epoch) == ("alma@desk.example", "run-1")
    assert entry.environment == environment_id("c0ffee")
    assert isinstance(entry.script, GitScript)
    assert entry.script.git_args.git_commit == "c0ffee"
    assert "pw" not in entry.to_json()
    described = rig.history.describe_procedure(record.procedure.id)
    assert described == record.procedure.summary().to_json()
    output = json.loads(rig.history.output(record.procedure.id, 1))
    assert [line["text"] for line in output["lines"]] == ["two"]
    assert (output["last_line"], output["dropped"]) == (2, 0)


def test_every_event_of_a_life_is_recorded_with_its_number(start: Callable[..., Rig]) -> None:
    rig = start()
    record = rig.run(command_id="command-1")
    rig.bus.publish("user.script.announce", "1", {"msg": "not part of it"})
    rig.flush()
    events = rig.events(record.procedure.id)
    states = [event["state"] for event in events if event["state"]]
    assert states == [state.value for state, _ in record.procedure.states]
    assert [event["topic"] for event in events if event["state"] is None] == [
        "procedure.lifecycle.created",
        "procedure.lifecycle.started",
        "procedure.lifecycle.ready",
        "procedure.lifecycle.started",
        "procedure.lifecycle.complete",
    ]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {(event["epoch"], event["request_id"]) for event in events} == {("run-1", "command-1")}


def test_an_activity_is_recorded(start: Callable[..., Rig]) -> None:
    rig = start()
    activity = rig.request_activity(procedure_id=7, command_id="command-1")
    rig.tell_activity(activity, ActivityState.PREPARED)
    rig.flush()
    assert rig.history.describe_activity(activity.id) == activity.summary().to_json()
    with pytest.raises(ActivityNotFound):
        rig.history.describe_activity(activity.id + 1)


def test_what_no_database_can_store_is_kept_in_the_summary(start: Callable[..., Rig]) -> None:
    rig = start()
    huge = rig.run(subarray_id=10**30)
    named = rig.run(script=EmbeddedStringScript(script_source="", script_name="a\0b \ud800"[:3]))
    rig.history.note_request("nul", "CreateProcedure", "a\0b")
    rig.write_output(named, "NUL \0 and \x1b[0m")
    rig.flush()
    assert ids(rig) == [named.procedure.id, huge.procedure.id]
    assert json.loads(rig.history.describe_procedure(huge.procedure.id))["subarray_id"] == 10**30
    assert "NUL \\u0000" in rig.history.output(named.procedure.id, 0)
    assert rig.history.health() is None


def test_a_row_that_is_refused_costs_no_other(
    start: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    rig = start()
    before = rig.run()
    bad = rig.run()
    bad.procedure.states[0] = (S.CREATING, "no number")  # type: ignore[assignment]  # as a bug might
    rig.announcer.state(bad)
    after = rig.run()
    bad.procedure.id = 2**70
    rig.announcer.state(bad)
    rig.flush()
    assert {before.procedure.id, after.procedure.id} <= set(ids(rig))
    assert "cannot keep" in caplog.text


def test_only_the_newest_output_is_kept(start: Callable[..., Rig]) -> None:
    rig = start()
    record = rig.create()
    for first in range(1, 1000, 100):
        rig.write_output(record, *(f"line {first + n}" for n in range(100)), first=first)
        rig.flush()
    rig.enter(record, S.RUNNING, S.COMPLETE)
    rig.flush()
    output = json.loads(rig.history.output(record.procedure.id, 0))
    assert [line["line"] for line in output["lines"]] == list(range(801, 1001))
    assert (output["last_line"], output["dropped"]) == (1000, 800)


def test_what_is_not_there_is_said_to_be_unknown(start: Callable[..., Rig]) -> None:
    rig = start()
    silent = rig.run()
    rig.flush()
    assert json.loads(rig.history.output(silent.procedure.id, 0))["lines"] == []
    with pytest.raises(ProcedureNotFound):
        rig.history.describe_procedure(99)
    with pytest.raises(ProcedureNotFound):
        rig.history.output(99, 0)


# ---------------------------------------------------------------- questions


def test_lists_are_filtered_and_paged(start: Callable[..., Rig]) -> None:
    moments = itertools.count(1000)
    rig = start(clock=lambda: float(next(moments)))
    other = FileSystemScript(script_uri="file:///scripts/100%_Allocate.py")
    first = rig.run().procedure
    second = rig.run(script=other, subarray_id=2).procedure
    third = rig.create(subarray_id=None).procedure
    rig.flush()
    assert ids(rig) == [third.id, second.id, first.id]
    assert ids(rig, state="READY") == [third.id]
    assert ids(rig, state=["READY", "COMPLETE"], limit=2) == [third.id, second.id]
    assert ids(rig, subarray_id=2) == [second.id]
    assert ids(rig, script="allocate") == [second.id]
    assert ids(rig, script="0%_a") == [second.id]
    assert ids(rig, script="%") == [second.id]
    assert ids(rig, since=second.created_at) == [third.id, second.id]
    assert ids(rig, limit=1, page=3) == [first.id]
    assert page(rig, limit=1, page=4) == HistoryPage(procedures=[], total=3)
    assert page(rig, limit=1, page=2).total == 3
    assert page(rig, script="\0", subarray_id=2**62).total == 0


def test_a_procedure_is_found_by_each_of_its_subarrays(start: Callable[..., Rig]) -> None:
    rig = start()
    several = rig.create(subarray_id=[3, 1, 4])
    single = rig.run(subarray_id=4).procedure
    later = rig.create(subarray_id=None)
    rig.flush()
    later.procedure.script_args = CallArgs(init=ProcedureInput(subarray_ids=[1]))
    rig.enter(later, S.RUNNING)
    rig.enter(several, S.RUNNING, S.COMPLETE)
    rig.flush()
    first, last = several.procedure.id, later.procedure.id
    assert [ids(rig, subarray_id=number) for number in (1, 2, 3, 4)] == [
        [last, first],
        [],
        [first],
        [single.id, first],
    ]
    assert ids(rig, subarray_id=4, state="COMPLETE", limit=1, page=2) == [first]
    assert page(rig, subarray_id=4, limit=1).total == 2
    prune(rig, keep=1)
    assert [ids(rig, subarray_id=number) for number in (1, 3)] == [[last], []]
    with rig.history._database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(SUBARRAYS)) == 1


def test_those_of_a_history_without_the_table_of_subarrays_are_found(
    start: Callable[..., Rig], url: str
) -> None:
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    database = HistoryDatabase(parse_url(url))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    of_each: dict[int, list[int]] = {1: [3, 1, 4], 2: [], 3: [4], 4: [5], 5: [6], 6: [2**70]}
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number, subarrays in of_each.items():
            arguments = CallArgs(init=ProcedureInput(subarray_ids=subarrays))
            procedure = Procedure(number, OBSERVE, arguments, 1.0)
            connection.execute(PROCEDURES.insert(), procedure_row(procedure.summary(), "run-0"))
        older = PROCEDURES.update().where(PROCEDURES.c.id == 4)
        connection.execute(older.values(summary=sa.func.replace(PROCEDURES.c.summary, "subarray_ids", "x")))
        connection.execute(PROCEDURES.update().where(PROCEDURES.c.id == 5).values(summary="{damaged"))
    database.close()
    rig = start()
    rig.flush()
    with rig.history._database.reading() as connection:
        stored = connection.execute(sa.select(SUBARRAYS).order_by(SUBARRAYS.c.subarray_id)).all()
    assert sorted(tuple(row) for row in stored) == [(1, 1), (3, 1), (4, 1), (4, 3), (5, 4), (6, 5)]
    assert ids(rig, subarray_id=4) == [3, 1]
    assert ids(rig, subarray_id=1) == [1]
    added = rig.run(subarray_id=[1, 2]).procedure.id
    rig.flush()
    assert ids(rig, subarray_id=1) == [added, 1]


@pytest.mark.parametrize(
    "bad",
    [
        '{"state": "DONE"}',
        '{"limit": 0}',
        '{"limit": 1001}',
        '{"page": 0}',
        '{"subarray_id": 99999999999999999999}',
        "{}x",
    ],
)
def test_a_bad_query_is_refused(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        HistoryQuery.parse(bad)


def test_ten_thousand_procedures_are_listed_by_pages(start: Callable[..., Rig]) -> None:
    rig = start()
    record = rig.run()
    rows = Rows(
        procedures=[
            procedure_row(record.procedure.summary().model_copy(update={"id": number}), "run-1")
            for number in range(1, 10_001)
        ],
        subarrays=[{"subarray_id": number % 16, "procedure_id": number} for number in range(1, 10_001)],
    )
    rig.flush()
    rig.history._store.write("run-1", rows)
    found: dict[str, tuple[dict[str, Any], int, int]] = {
        "all": ({}, 10_000, 50),
        "of a state": ({"state": "FAILED"}, 0, 0),
        "of a subarray": ({"subarray_id": 3}, 625, 50),
        "of a script": ({"script": "observe"}, 10_000, 50),
        "the last page": ({"page": 200}, 10_000, 50),
    }
    for what, (query, total, shown) in found.items():
        answer = json.loads(rig.history.list(HistoryQuery.parse({"limit": 50, **query})))
        assert (answer["total"], len(answer["procedures"])) == (total, shown), what


# ---------------------------------------------------------------- from one run to the next


def test_ids_go_on(start: Callable[..., Rig]) -> None:
    rig = start()
    assert (rig.history.first_procedure_id, rig.history.first_activity_id) == (1, 1)
    rig.run()
    rig.run()
    rig.request_activity()
    assert rig.stop()
    rig = start()
    assert (rig.history.first_procedure_id, rig.history.first_activity_id) == (3, 2)
    rig.kill()
    rig = start()
    assert rig.history.first_procedure_id > 3


def test_ids_go_on_when_everything_was_pruned(start: Callable[..., Rig]) -> None:
    rig = start()
    rig.run()
    rig.run()
    rig.flush()
    assert prune(rig, keep=0) == Pruned(procedures=2, activities=0)
    assert rig.stop()
    assert start().history.first_procedure_id == 3


def test_what_ended_last_is_told_at_the_next_start(start: Callable[..., Rig]) -> None:
    rig = start()
    ended = [rig.run().procedure.id for _ in range(4)]
    lost = rig.create().procedure.id
    activity = rig.request_activity()
    rig.flush()
    rig.kill()
    rig = start(newest=3)
    (recovery,) = rig.recovered
    assert [(each.id, each.state.value) for each in recovery.newest_procedures] == [
        (ended[2], "COMPLETE"),
        (ended[3], "COMPLETE"),
        (lost, "FAILED"),
    ]
    assert [(each.id, each.state.value) for each in recovery.newest_activities] == [(activity.id, "FAILED")]


@pytest.mark.parametrize("characters", [300_000, 3_000_000])
def test_records_that_are_larger_than_any_is_made_now_are_listed(
    start: Callable[..., Rig], characters: int
) -> None:
    rig = start()
    small, *large = [rig.run(subarray_id=3).procedure.id for _ in range(4)]
    rig.flush()
    for number in large:
        content = json.loads(rig.history.describe_procedure(number))
        content["progress"] = {"percent": 18.0, "message": "x" * characters}
        with rig.history._database.writing() as connection:
            changed = PROCEDURES.update().where(PROCEDURES.c.id == number)
            connection.execute(changed.values(summary=json.dumps(content)))
    listed = rig.history.list(HistoryQuery())
    assert len(listed) < 20_000
    found = HistoryPage.parse(listed).procedures
    assert [each.id for each in found] == [*reversed(large), small]
    assert {(each.state, each.subarray_id, each.epoch) for each in found} == {(S.COMPLETE, 3, "run-1")}
    described = ProcedureSummary.parse(rig.history.describe_procedure(large[0]))
    assert described.progress is not None
    assert f"cut: {characters} characters" in described.progress.message
    assert rig.stop()
    rig = start(newest=10)
    newest = rig.recovered[0].newest_procedures
    assert [each.id for each in newest] == [small, *large]
    assert all(len(each.to_json()) < 5000 for each in newest)


def test_a_clean_stop_loses_nothing_and_leaves_nothing_to_recover(start: Callable[..., Rig]) -> None:
    rig = start()
    expected = [rig.run().procedure.id for _ in range(100)]
    assert rig.stop()
    rig = start()
    assert sorted(ids(rig, limit=1000)) == expected
    assert not rig.recovered[0].procedures
    assert len(rig.events(expected[-1])) == 13


def test_what_was_live_is_failed_at_the_next_start(start: Callable[..., Rig]) -> None:
    rig = start()
    ended = rig.run()
    live = rig.create(command_id="command-1")
    rig.enter(live, S.RUNNING)
    waiting = rig.request_activity(procedure_id=live.procedure.id)
    rig.flush()
    rig.kill()

    rig = start()
    (recovery,) = rig.recovered
    (summary,) = recovery.procedures
    assert summary.id == live.procedure.id
    assert summary.state is S.FAILED
    assert summary.exit is not None
    assert summary.exit.cause == "controller lost"
    assert "RUNNING" in (summary.exit.message or "")
    assert summary.history.process_states[:-1] == live.procedure.states
    (activity,) = recovery.activities
    assert (activity.id, activity.state) == (waiting.id, ActivityState.FAILED)
    assert ProcedureSummary.parse(rig.history.describe_procedure(summary.id)) == summary
    assert ids(rig, state="COMPLETE") == [ended.procedure.id]
    assert page(rig, state="FAILED").procedures[0].epoch == "run-1"
    assert rig.history.first_procedure_id > live.procedure.id

    rig.announcer.lost(summary)
    rig.flush()
    events = rig.events(summary.id)
    assert [(e["epoch"], e["topic"], e["state"]) for e in events[-2:]] == [
        ("run-2", "procedure.lifecycle.statechange", "FAILED"),
        ("run-2", "procedure.lifecycle.failed", None),
    ]
    assert page(rig, state="FAILED").procedures[0].epoch == "run-1"
    rig.kill()
    assert not start().recovered[0].procedures


# ---------------------------------------------------------------- pruning


def test_pruning_by_age_and_number(start: Callable[..., Rig]) -> None:
    now = [0.0]
    rig = start(clock=lambda: now[0])
    live = rig.create()
    for moment in range(10):
        now[0] = float(moment)
        rig.write_output(rig.run(), "text")
    now[0] = 10.0
    rig.flush()
    assert prune(rig, older_than=5, keep=8) == Pruned(procedures=2, activities=0)
    assert ids(rig) == [11, 10, 9, 8, 7, 6, 5, 4, live.procedure.id]
    assert prune(rig, older_than=5) == Pruned(procedures=3, activities=0)
    assert prune(rig, keep=1) == Pruned(procedures=4, activities=0)
    assert ids(rig) == [11, live.procedure.id]
    assert rig.events(10) == []
    assert rig.history._reader.output(10, 0) is None
    assert len(rig.events(11)) == 13


def test_who_asked_is_part_of_the_procedure(start: Callable[..., Rig]) -> None:
    rig = start()
    rig.history.note_request("command-1", "CreateProcedure", "what the table of requests says")
    record = rig.create(command_id="command-1", requester="alma@desk pid 42")
    rig.flush()
    (entry,) = page(rig).procedures
    assert entry.requester == "alma@desk pid 42"
    assert json.loads(rig.history.describe_procedure(record.procedure.id))["requester"] == "alma@desk pid 42"


def test_pruning_thousands_keeps_requests_that_are_named(start: Callable[..., Rig]) -> None:
    now = [0.0]
    rig = start(clock=lambda: now[0])
    for number in range(600):
        now[0] = float(number)
        rig.history.note_request(f"c{number}", "CreateProcedure", f"user {number}")
        rig.run(command_id=f"c{number}")
    rig.flush()
    assert prune(rig, keep=2) == Pruned(procedures=598, activities=0)
    assert [entry.requester for entry in page(rig).procedures] == ["user 599", "user 598"]
    with rig.history._database.writing() as connection:
        left = connection.scalars(sa.select(REQUESTS.c.command_id).order_by(REQUESTS.c.time)).all()
    assert left == ["c597", "c598", "c599"]  # those older by more than a second are named by nothing


def test_pruning_needs_a_limit() -> None:
    with pytest.raises(InvalidArgument, match="older_than"):
        PruneQuery.parse("{}")


def test_more_can_be_kept_than_there_ever_will_be(start: Callable[..., Rig]) -> None:
    assert prune(start(), keep=2**63 - 1) == Pruned(procedures=0, activities=0)
    with pytest.raises(InvalidArgument, match="keep"):
        PruneQuery.parse({"keep": 2**63})


@pytest.mark.parametrize(
    "bad", ["", "history.db", "sqlite:///relative.db", "sqlite://", "mysql://u:secret@h/d"]
)
def test_a_bad_url_is_refused_without_its_password(bad: str) -> None:
    with pytest.raises(InvalidArgument, match="HistoryUrl") as caught:
        Rig(bad)
    assert "secret" not in str(caught.value)


def test_a_file_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = HistoryDatabase(sa.make_url(f"sqlite:///{tmp_path}/new/history.db"))
        database.upgrade()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").glob("*.db*")}
        folder = stat.S_IMODE((tmp_path / "new").stat().st_mode)
        database.close()
    finally:
        os.umask(before)
    assert (folder, set(modes.values())) == (0o700, {0o600})
    assert {"history.db", "history.db-wal"} <= set(modes)
