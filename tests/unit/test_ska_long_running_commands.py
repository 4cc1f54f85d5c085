from __future__ import annotations

import json
import threading
from collections import deque
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import Rejected
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus
from ska_oso_oet.ska.long_running_commands import LongRunningCommands, RunningCommand
from ska_oso_oet.ska.lrc_record import CommandLimits

if TYPE_CHECKING:
    from collections.abc import Callable

OK = (ResultCode.OK, "done")
STOPPED = (ResultCode.ABORTED, "stopped")
LISTS = tuple(CommandLimits().sizes)


class Bench:
    """Long running commands with a clock that is set by hand and everything that they emit."""

    def __init__(self, **limits: int) -> None:
        self.now = 1_795_167_427.25
        self.emitted: list[tuple[str, object]] = []
        self.later: deque[tuple[float, Callable[[], None]]] = deque()
        self.commands = LongRunningCommands(
            lambda name, value: self.emitted.append((name, value)),
            clock=lambda: self.now,
            limits=CommandLimits(**limits),
            later=lambda delay, fn: self.later.append((delay, fn)),
        )

    def names(self) -> list[str]:
        names = [name for name, _ in self.emitted]
        self.emitted.clear()
        return names

    def events(self, command_id: str) -> list[dict[str, object]]:
        return [
            json.loads(value[1])
            for name, value in self.emitted
            if name == "_lrcEvent" and isinstance(value, list) and value[0] == command_id
        ]

    def read(self, name: str) -> list[str]:
        return self.commands.read(name)

    def check_status(self, command_id: str) -> str:
        return self.commands.outcome(command_id).status.name


def a_bug() -> None:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_one_command_is_told_in_the_order_of_the_contract(bench: Bench) -> None:
    command = bench.commands.begin("On", commanded="ON")
    known = ["longRunningCommandsInQueue", "longRunningCommandIDsInQueue", "longRunningCommandStatus"]
    assert bench.names() == [*known, "_lrcEvent"]
    command.in_progress()
    assert bench.names() == [
        *("longRunningCommandStatus", "longRunningCommandInProgress", "commandedState"),
        *("_lrcEvent", "lrcExecuting"),
    ]
    command.progress(42)
    assert bench.names() == ["longRunningCommandProgress", "_lrcEvent", "lrcExecuting"]
    command.finish(TaskStatus.COMPLETED, OK)
    assert bench.names() == [
        *("longRunningCommandResult", "longRunningCommandProgress", "longRunningCommandStatus"),
        *("longRunningCommandInProgress", "_lrcEvent", "lrcExecuting", "lrcFinished"),
    ]
    assert bench.commands.commanded_state == "ON"


def test_protocol_2_tells_status_and_result_together(bench: Bench) -> None:
    command = bench.commands.begin("Slow")
    command.in_progress()
    command.progress(50)
    command.finish(TaskStatus.COMPLETED, OK)
    assert bench.events(command.command_id) == [
        {"status": 0},
        {"status": 2},
        {"progress": 50},
        {"status": 5, "result": [0, "done"]},
    ]


def test_the_lists_hold_each_command_once_with_the_keys_of_the_contract(bench: Bench) -> None:
    command = bench.commands.begin("Slow")
    assert [bench.read(name) for name in ("lrcQueue", "lrcExecuting", "lrcFinished")] == [[], [], []]
    begun = {
        "uid": command.command_id,
        "name": "Slow",
        "submitted_time": "2026-11-20T09:37:07.250000+00:00",
    }
    bench.now += 1
    command.in_progress()
    command.progress(7)
    assert bench.read("lrcQueue") == []
    [executing] = map(json.loads, bench.read("lrcExecuting"))
    assert executing == begun | {"started_time": "2026-11-20T09:37:08.250000+00:00", "progress": 7}
    bench.now += 1
    command.finish(TaskStatus.FAILED, (ResultCode.FAILED, "why"))
    assert bench.read("lrcExecuting") == []
    [finished] = map(json.loads, bench.read("lrcFinished"))
    assert finished == begun | {
        "status": "FAILED",
        "started_time": "2026-11-20T09:37:08.250000+00:00",
        "finished_time": "2026-11-20T09:37:09.250000+00:00",
        "result": [3, "why"],
    }


def test_protocol_1_lists_finished_executing_and_staged_commands(bench: Bench) -> None:
    staged, executing, finished = (bench.commands.begin(name) for name in ("W", "E", "F"))
    finished.finish(TaskStatus.COMPLETED, OK)
    executing.in_progress()
    executing.progress(3)
    assert bench.read("longRunningCommandsInQueue") == ["F", "E", "W"]
    ids = [finished.command_id, executing.command_id, staged.command_id]
    assert bench.read("longRunningCommandIDsInQueue") == ids
    assert bench.read("longRunningCommandStatus") == [
        *(ids[0], "COMPLETED", ids[1], "IN_PROGRESS", ids[2], "STAGING")
    ]
    assert bench.read("longRunningCommandInProgress") == ["E"]
    assert bench.read("longRunningCommandProgress") == [ids[1], "3"]
    assert bench.read("longRunningCommandResult") == [ids[0], '[0, "done"]']


def test_a_finished_command_leaves_protocol_1_after_ten_seconds(bench: Bench) -> None:
    first = bench.commands.begin("First")
    first.finish(TaskStatus.COMPLETED, OK)
    bench.now += 4
    second = bench.commands.begin("Second")
    second.finish(TaskStatus.COMPLETED, OK)
    [(delay, refresh)] = bench.later
    assert delay == 10
    bench.later.clear()
    bench.emitted.clear()
    bench.now += 6
    refresh()
    assert bench.read("longRunningCommandsInQueue") == ["Second"]
    assert bench.names() == [
        *("longRunningCommandsInQueue", "longRunningCommandIDsInQueue", "longRunningCommandStatus")
    ]
    [(delay, refresh)] = bench.later
    assert delay == pytest.approx(4)
    bench.later.clear()
    bench.now += 4
    refresh()
    assert [bench.read(name) for name in LISTS[:3]] == [[], [], []]
    assert not bench.later
    assert bench.check_status(first.command_id) == "COMPLETED"
    assert len(bench.read("lrcFinished")) == 2


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_is_set_does_not_keep_commands_in_protocol_1(bench: Bench, step: float) -> None:
    bench.commands.begin("Slow").finish(TaskStatus.COMPLETED, OK)
    bench.now += step
    assert bench.read("longRunningCommandsInQueue") == []


def test_the_newest_hundred_finished_commands_are_known(bench: Bench) -> None:
    commands = [bench.commands.begin("Slow") for _ in range(32)]
    for _ in range(4):
        for command in commands:
            command.finish(TaskStatus.COMPLETED, OK)
        commands = [bench.commands.begin("Slow") for _ in range(32)]
        assert len(bench.read("longRunningCommandsInQueue")) <= 96
    first_live = commands[0].command_id
    finished = [json.loads(text)["uid"] for text in bench.read("lrcFinished")]
    assert len(finished) == 100
    assert all(bench.check_status(uid) == "COMPLETED" for uid in finished)
    assert bench.check_status(first_live) == "STAGING"
    for garbage in ("", "garbage", "1_2_Slow"):
        assert bench.check_status(garbage) == "NOT_FOUND"


def test_the_outcome_of_a_command_is_known_for_longer_than_it_is_listed() -> None:
    bench = Bench(remembered=300)
    first = bench.commands.begin("First")
    first.in_progress()
    first.progress(50)
    assert json.loads(bench.commands.outcome(first.command_id).to_json()) == {
        "status": "IN_PROGRESS",
        "result": None,
        "progress": 50,
    }
    first.finish(TaskStatus.COMPLETED, (ResultCode.FAILED, "why"))
    for _ in range(299):
        bench.commands.begin("Slow").finish(TaskStatus.COMPLETED, OK)
    assert len(bench.read("lrcFinished")) == 100
    assert json.loads(bench.commands.outcome(first.command_id).to_json()) == {
        "status": "COMPLETED",
        "result": [3, "why"],
        "progress": 50,
    }
    bench.commands.begin("Slow").finish(TaskStatus.COMPLETED, OK)
    assert bench.commands.outcome(first.command_id).status is TaskStatus.NOT_FOUND


def test_one_command_too_many_is_rejected_before_it_has_an_id() -> None:
    bench = Bench(max_queued=2, max_executing=2)
    kept = [bench.commands.begin("Slow") for _ in range(2)]
    bench.emitted.clear()
    with pytest.raises(Rejected, match=r"^Input queue supports a maximum of 2 commands$"):
        bench.commands.begin("Slow")
    assert bench.names() == []
    kept[0].finish(TaskStatus.COMPLETED, OK)
    bench.commands.begin("Slow")


def test_a_command_that_stops_something_needs_no_place() -> None:
    bench = Bench(max_queued=2, max_executing=2)
    kept = [bench.commands.begin("Slow") for _ in range(2)]
    stops = [bench.commands.begin("Stop", urgent=True) for _ in range(150)]
    for name, size in bench.commands.limits.sizes.items():
        assert len(bench.read(name)) <= size
    bench.commands.abort_all()
    stops[0].finish(TaskStatus.COMPLETED, OK)
    late = bench.commands.begin("Stop", urgent=True)
    for command in (*kept, *stops[1:]):
        command.finish(TaskStatus.ABORTED, STOPPED)
    # The abort is over; it did not wait for what came after it.
    bench.commands.begin("Next")
    assert bench.check_status(late.command_id) == "STAGING"
    for name, size in bench.commands.limits.sizes.items():
        assert len(bench.read(name)) <= size


def test_the_first_end_wins_and_nothing_follows_it(bench: Bench) -> None:
    command = bench.commands.begin("Slow")
    command.in_progress()
    assert command.finish(TaskStatus.COMPLETED, OK) is True
    bench.emitted.clear()
    assert command.finish(TaskStatus.FAILED, (ResultCode.FAILED, "late")) is False
    command.in_progress()
    command.progress(99)
    assert bench.names() == []
    assert bench.check_status(command.command_id) == "COMPLETED"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (TaskStatus.COMPLETED, [0, 2, 5]),
        (TaskStatus.FAILED, [0, 2, 7]),
        (TaskStatus.ABORTED, [0, 2, 3]),
        (TaskStatus.REJECTED, [0, 6]),
    ],
)
def test_a_command_ends_on_a_legal_way(
    bench: Bench,
    status: TaskStatus,
    told: list[int],
) -> None:
    command = bench.commands.begin("Slow")
    command.finish(status, OK)
    assert [event["status"] for event in bench.events(command.command_id)] == told


def test_a_command_cannot_end_in_a_status_that_is_no_end(bench: Bench) -> None:
    command = bench.commands.begin("Slow")
    with pytest.raises(ValueError, match="IN_PROGRESS"):
        command.finish(TaskStatus.IN_PROGRESS, OK)


def test_abort_asks_everything_to_stop_and_ends_when_all_has_ended(bench: Bench) -> None:
    asked: list[str] = []
    running = bench.commands.begin("Run", on_abort=lambda: asked.append("Run"))
    running.in_progress()
    staged = bench.commands.begin("Stage", on_abort=lambda: asked.append("Stage"))
    abort = bench.commands.abort()
    assert asked == ["Run", "Stage"]
    assert (running.abort_requested, staged.abort_requested) == (True, True)
    assert bench.read("longRunningCommandInProgress") == ["Run", "Abort"]
    with pytest.raises(Rejected, match=r"^Queue is being aborted$"):
        bench.commands.begin("Late")
    running.finish(TaskStatus.ABORTED, STOPPED)
    assert bench.check_status(abort) == "IN_PROGRESS"
    staged.finish(TaskStatus.ABORTED, STOPPED)
    assert bench.events(abort) == [
        {"status": 0},
        {"status": 2},
        {"status": 5, "result": [0, "Abort completed OK"]},
    ]
    finished = [json.loads(text)["name"] for text in bench.read("lrcFinished")]
    assert finished == ["Run", "Stage", "Abort"]
    bench.commands.begin("Next")


def test_a_second_abort_asks_again_and_completes_too(bench: Bench) -> None:
    asked: list[int] = []
    running = bench.commands.begin("Run", on_abort=lambda: asked.append(1))
    running.in_progress()
    aborts = [bench.commands.abort() for _ in range(40)]
    assert len(asked) == 40
    for name, size in CommandLimits().sizes.items():
        assert len(bench.read(name)) <= size
    running.finish(TaskStatus.ABORTED, STOPPED)
    assert {bench.check_status(abort) for abort in aborts} == {"COMPLETED"}


def test_an_idle_abort_completes_at_once(bench: Bench) -> None:
    assert bench.check_status(bench.commands.abort()) == "COMPLETED"


def test_abort_commands_leaves_no_trace_of_itself(bench: Bench) -> None:
    running = bench.commands.begin("Run")
    running.in_progress()
    bench.commands.abort_all()
    assert running.abort_requested
    with pytest.raises(Rejected, match="aborted"):
        bench.commands.begin("Late")
    running.finish(TaskStatus.ABORTED, STOPPED)
    assert len(bench.read("lrcFinished")) == 1
    bench.commands.begin("Next")


def test_one_callback_that_raises_does_not_spare_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[int] = []
    bench.commands.begin("Bad", on_abort=a_bug)
    bench.commands.begin("Good", on_abort=lambda: asked.append(1))
    bench.commands.abort()
    assert asked == [1]
    assert "could not be asked to abort" in caplog.text


def test_abort_callbacks_may_end_their_command(bench: Bench) -> None:
    commands: list[RunningCommand] = []

    def end() -> None:
        commands[0].finish(TaskStatus.ABORTED, STOPPED)

    commands.append(bench.commands.begin("Run", on_abort=end))
    commands[0].in_progress()

    assert bench.check_status(bench.commands.abort()) == "COMPLETED"


def test_closing_ends_what_is_live(bench: Bench) -> None:
    command = bench.commands.begin("Run")
    command.in_progress()
    bench.commands.refuse("going")
    with pytest.raises(Rejected, match=r"^going$"):
        bench.commands.begin("Late")
    with pytest.raises(Rejected, match=r"^going$"):
        bench.commands.abort()
    assert bench.check_status(command.command_id) == "IN_PROGRESS"
    bench.commands.close("gone")
    assert bench.events(command.command_id)[-1] == {"status": 3, "result": [7, "gone"]}


def test_ids_are_unique_and_end_in_the_name(bench: Bench) -> None:
    ids = {bench.commands.begin("Slow").command_id for _ in range(32)}
    assert len(ids) == 32
    assert {tuple(text.split("_")[::2]) for text in ids} == {("1795167427.25", "Slow")}
    for name in ("Not_Good", ""):
        with pytest.raises(ValueError, match="underscore"):
            Bench().commands.begin(name)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((32, 2), (66, 132, 2, 4, 3)), ((0, 2), (32, 64, 2, 4, 3)), ((32, 32), (96, 192, 32, 64, 33))],
)
def test_sizes_follow_the_rule_of_ska_tango_base(limits: tuple[int, int], expected: tuple[int, ...]) -> None:
    sizes = CommandLimits(*limits).sizes
    names = ("InQueue", "Status", "InProgress", "Progress")
    found = [sizes[f"longRunningCommand{'s' * (name == 'InQueue')}{name}"] for name in names]
    assert (*found, sizes["lrcExecuting"]) == expected
    assert (sizes["lrcQueue"], sizes["lrcFinished"]) == (expected[0], 100)


def test_a_thousand_commands_from_four_threads_all_end_and_every_list_is_readable() -> None:
    ends: dict[str, int] = {}
    last: dict[str, int] = {}

    def emit(name: str, value: object) -> None:
        assert isinstance(value, list)
        if name == "_lrcEvent":
            status = json.loads(value[1]).get("status", last.get(value[0]))
            assert status > last.get(value[0], -1)
            last[value[0]] = status
            ends[value[0]] = ends.get(value[0], 0) + (status >= 3)
        else:
            assert len(value) <= sizes[name]

    commands = LongRunningCommands(emit)
    sizes = commands.limits.sizes

    def client() -> None:
        for number in range(250):
            command = commands.begin("Slow")
            command.in_progress()
            for name in LISTS:
                assert len(commands.read(name)) <= sizes[name]
            command.finish((TaskStatus.COMPLETED, TaskStatus.FAILED)[number % 2], OK)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 1000
    assert set(ends.values()) == {1}
    assert commands.read("lrcExecuting") == commands.read("lrcQueue") == []
    assert len(commands.read("lrcFinished")) == 100
