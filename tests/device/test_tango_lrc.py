from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tango

from ska_oso_oet.errors import Rejected, WaitTimeout
from ska_oso_oet.ska.control_model import TaskStatus
from ska_oso_oet.tango import (
    Attribute,
    Command,
    CommandFailed,
    TangoExecutor,
)
from tests.device.lrc_server import serving, until, wait_for_events
from tests.reserved_port import reserved_port

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 60


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reserved_port() as port, serving(port) as served:
        yield served


@pytest.fixture(params=[1, 2])
def lrc(request: pytest.FixtureRequest, url: str) -> str:
    return f"{url}/{request.param}#dbase=no"


@pytest.fixture
def executor() -> TangoExecutor:
    return TangoExecutor()


@pytest.fixture
def listening(executor: TangoExecutor, lrc: str) -> TangoExecutor:
    """An executor that is sure to hear of progress: its subscriptions carry events already."""
    command = Command(lrc, "Work", json.dumps([{"status": 5, "result": [0, "first"]}]))
    assert executor.execute_lrc(command, timeout=DEADLINE).result == [0, "first"]
    wait_for_events(lrc)
    return executor


def test_a_long_running_command_is_followed_to_its_end(listening: TangoExecutor, lrc: str) -> None:
    updates = [{"progress": 25}, {"progress": 75}, {"status": 5, "result": [0, "done"]}]
    progress: list[int] = []
    outcome = listening.execute_lrc(
        Command(lrc, "Work", json.dumps(updates)), timeout=DEADLINE, on_progress=progress.append
    )
    assert (outcome.status, outcome.result, progress) == (TaskStatus.COMPLETED, [0, "done"], [25, 75])


def test_commands_one_after_another_do_not_mix(executor: TangoExecutor, lrc: str) -> None:
    for text in ("one", "two", "three"):
        updates = [{"status": 5, "result": [0, text]}]
        assert executor.execute_lrc(Command(lrc, "Work", json.dumps(updates)), timeout=DEADLINE).result == [
            0,
            text,
        ]


@pytest.mark.parametrize(
    ("status", "result", "named"),
    [
        (5, [3, "no power"], "COMPLETED: no power"),
        (3, [7, "aborted"], "ABORTED"),
        (7, [3, "bug"], "FAILED: bug"),
    ],
)
def test_a_command_that_does_not_succeed_is_an_error(
    executor: TangoExecutor, lrc: str, status: int, result: list[Any], named: str
) -> None:
    updates = [{"status": status, "result": result}]
    with pytest.raises(CommandFailed, match=named) as caught:
        executor.execute_lrc(Command(lrc, "Work", json.dumps(updates)), timeout=DEADLINE)
    assert caught.value.outcome.result == result


def test_a_refused_command_is_an_error(executor: TangoExecutor, lrc: str) -> None:
    with pytest.raises(Rejected, match="too busy"):
        executor.execute_lrc(Command(lrc, "Work", "reject"), timeout=DEADLINE)


def test_a_command_that_does_not_end_in_time_is_left_running(listening: TangoExecutor, lrc: str) -> None:
    aborts = listening.read(Attribute(lrc, "aborts"))
    with pytest.raises(WaitTimeout, match="IN_PROGRESS, progress 10"):
        listening.execute_lrc(Command(lrc, "Work", json.dumps([{"progress": 10}])), timeout=2)
    assert listening.read(Attribute(lrc, "aborts")) == aborts


def test_a_command_is_aborted_when_following_it_fails(listening: TangoExecutor, lrc: str) -> None:
    aborts = listening.read(Attribute(lrc, "aborts"))

    def stop(_progress: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        listening.execute_lrc(Command(lrc, "Work", json.dumps([{"progress": 10}])), on_progress=stop)
    until(lambda: listening.read(Attribute(lrc, "aborts")) == aborts + 1)


@pytest.mark.parametrize("then", ["FinishSilently", "Forget"])
def test_what_no_event_told_is_asked_for(listening: TangoExecutor, lrc: str, then: str) -> None:
    def on_progress(_progress: int) -> None:
        tango.DeviceProxy(lrc).command_inout(then)

    command = Command(lrc, "Work", json.dumps([{"progress": 10}]))
    if then == "FinishSilently":
        assert listening.execute_lrc(command, timeout=DEADLINE, on_progress=on_progress).result == [
            0,
            "found",
        ]
    else:
        with pytest.raises(CommandFailed, match="NOT_FOUND: the device does not know"):
            listening.execute_lrc(command, timeout=DEADLINE, on_progress=on_progress)
