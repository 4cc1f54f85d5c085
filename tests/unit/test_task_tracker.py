from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ska_oso_oet.ska.control_model import HealthState, ResultCode, TaskStatus
from ska_oso_oet.task import PROGRESS_STEP, ChainedEvent, NonEssential, TaskTracker

DEADLINE_S = 10.0
FINAL = (TaskStatus.FAILED, TaskStatus.ABORTED, TaskStatus.REJECTED, TaskStatus.COMPLETED)


class Receiver:
    """Keeps what a tracker reports."""

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []

    def __call__(self, **payload: Any) -> None:
        self.payloads.append(payload)

    @property
    def ends(self) -> list[dict[str, Any]]:
        return [payload for payload in self.payloads if payload["status"] in FINAL]

    @property
    def steps(self) -> list[int]:
        return [payload["progress"] for payload in self.payloads if payload["status"] not in FINAL]


class Error:
    def __init__(self, reason: str, desc: str) -> None:
        self.reason = reason
        self.desc = desc


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


# ---------------------------------------------------------------- completion
def test_the_end_is_reported_once_with_the_last_part(receiver: Receiver) -> None:
    tracker = TaskTracker("RunActivity", 2, receiver)

    tracker.update_task(task_name="init", status=TaskStatus.FAILED, result=(ResultCode.FAILED, "no dish"))
    assert (receiver.payloads, tracker.get_status()) == ([], TaskStatus.IN_PROGRESS)
    assert tracker.completed_subtasks == 1

    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED, result=[0, "ok"])
    tracker.update_task(task_name="main", status=TaskStatus.FAILED)
    tracker.update_task(task_name="another", status=TaskStatus.FAILED)

    assert receiver.payloads == [
        {
            "task_name": "RunActivity",
            "status": TaskStatus.FAILED,
            "result": (ResultCode.FAILED, "init: no dish"),
            "health_state": "FAILED",
        }
    ]
    assert (tracker.get_status(), tracker.get_result()) == (TaskStatus.FAILED, ResultCode.FAILED)
    assert tracker.overall_resultcode == (ResultCode.FAILED, "init: no dish")
    assert tracker.overall_health is HealthState.FAILED
    assert set(tracker.subtasks) == {"init", "main"}
    assert tracker.wait_for_task_completion()


def test_a_part_that_was_not_expected_is_waited_for_too(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 1, receiver)

    tracker.update_task(task_name="late comer", status=TaskStatus.IN_PROGRESS)
    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)
    assert receiver.payloads == []

    tracker.update_task(task_name="late comer", status=TaskStatus.COMPLETED)
    assert len(receiver.ends) == 1


def test_a_task_without_parts_is_complete_at_once(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 0, receiver)

    tracker.update_task(task_name="main", status=TaskStatus.FAILED)

    assert [end["status"] for end in receiver.payloads] == [TaskStatus.COMPLETED]
    assert (tracker.get_status(), tracker.progress) == (TaskStatus.COMPLETED, 100)
    assert tracker.wait_for_task_completion()


def test_the_context_of_the_end_is_that_of_the_report() -> None:
    rule = NonEssential("archive", operation="allocate")
    tracker = TaskTracker("task", 1, non_essential=(rule,))
    tracker.update_task(task_name="archive", status=TaskStatus.FAILED)

    tracker.set_context(operation="allocate")

    assert tracker.get_status() is TaskStatus.FAILED


@pytest.mark.parametrize("by_update", [True, False])
def test_context_selects_the_rules(receiver: Receiver, by_update: bool) -> None:  # noqa: FBT001 - a parameter
    rule = NonEssential("archive", operation="allocate", obs_mode="IMAGING")
    tracker = TaskTracker("task", 2, receiver, obs_mode="IMAGING", is_root=True, non_essential=(rule,))
    context: dict[str, Any] = {"operation": "allocate"}
    if not by_update:
        tracker.set_context(**context)
    tracker.update_task(task_name="archive", status=TaskStatus.FAILED, **(context if by_update else {}))
    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)

    (end,) = receiver.ends
    assert (end["status"], end["health_state"]) == (TaskStatus.COMPLETED, "DEGRADED")
    assert end["result"] == (ResultCode.OK, "task (allocate, IMAGING) completed: archive: failed")


def test_tasks_nest(receiver: Receiver) -> None:
    root = TaskTracker("RunActivity", 2, receiver, is_root=True, report_progress=True)
    create = TaskTracker(
        "create", 2, root.update_task, non_essential=(NonEssential("archive"),), report_progress=True
    )

    create.update_task(task_name="load", status=TaskStatus.COMPLETED, devices=["a/b/2", "a/b/1"])
    create.update_task(
        task_name="archive", status=TaskStatus.FAILED, result=[3, "disk full"], device_name="d/e/f"
    )
    root.update_task(task_name="main", status=TaskStatus.COMPLETED)

    assert receiver.steps == [25, 50]
    assert receiver.ends == [
        {
            "task_name": "RunActivity",
            "status": TaskStatus.COMPLETED,
            "result": (ResultCode.OK, "RunActivity completed: create: archive: disk full"),
            "devices": ["a/b/1", "a/b/2", "d/e/f"],
            "failed_devices": ["d/e/f"],
            "health_state": "DEGRADED",
        }
    ]


# ---------------------------------------------------------------- what parts report
def test_devices_are_sorted_and_failed_ones_preferred() -> None:
    receiver = Receiver()
    tracker = TaskTracker("task", 3, receiver)

    tracker.update_task(task_name="a", status=TaskStatus.FAILED, devices=["z", "y"], failed_devices=["y"])
    tracker.update_task(task_name="b", status=TaskStatus.FAILED, device_name="x")
    tracker.update_task(task_name="c", status=TaskStatus.COMPLETED, devices=("w", "x"), device_name="unused")

    (end,) = receiver.ends
    assert (end["devices"], end["failed_devices"]) == (["w", "x", "y", "z"], ["x", "y"])


def test_errors_are_collected_by_name_of_the_part(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 2, receiver)
    first, second, third = Error("A", "a"), Error("B", "b"), Error("C", "c")

    tracker.update_task(task_name="b", error=(third,))
    tracker.update_task(task_name="a", error=(first,))
    tracker.update_task(task_name="a", status=TaskStatus.FAILED, error=(second,))
    tracker.update_task(task_name="b", status=TaskStatus.COMPLETED)

    (end,) = receiver.ends
    assert end["error"] == tracker.errors == (first, second, third)
    assert end["result"] == (ResultCode.FAILED, "a: a; b")


def test_news_that_goes_back_is_late_news() -> None:
    tracker = TaskTracker("task", 1)

    tracker.update_task(task_name="main", status=TaskStatus.IN_PROGRESS, progress=60)
    tracker.update_task(task_name="main", status=TaskStatus.QUEUED, progress=10)

    assert (tracker.get_status(), tracker.progress) == (TaskStatus.IN_PROGRESS, 60)


def test_result_and_status_may_come_apart(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 1, receiver)

    tracker.update_task(task_name="main", result=[3, "ValueError"])
    assert receiver.payloads == []
    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)

    (end,) = receiver.ends
    assert (end["status"], end["result"]) == (TaskStatus.COMPLETED, (ResultCode.FAILED, "main: ValueError"))


# ---------------------------------------------------------------- progress
def test_progress_is_the_mean_and_reported_by_steps(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 4, receiver, report_progress=True)

    for progress in (0, 10, 19, 20, 39, 40):
        tracker.update_task(task_name="a", status=TaskStatus.IN_PROGRESS, progress=progress)
    tracker.update_task(task_name="b", status=TaskStatus.REJECTED)

    assert receiver.payloads[0] == {"task_name": "task", "status": TaskStatus.IN_PROGRESS, "progress": 0}
    assert receiver.steps == [0, 5, 10, 35]
    assert tracker.progress == 35


def test_progress_is_not_reported_unless_asked_for(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 1, receiver)
    tracker.update_task(task_name="main", status=TaskStatus.IN_PROGRESS, progress=50)
    assert receiver.payloads == []


def test_reported_progress_does_not_go_back_for_a_part_that_was_not_expected(receiver: Receiver) -> None:
    tracker = TaskTracker("task", 1, receiver, report_progress=True)

    tracker.update_task(task_name="main", status=TaskStatus.IN_PROGRESS, progress=80)
    tracker.update_task(task_name="late comer", status=TaskStatus.IN_PROGRESS, progress=10)
    assert tracker.progress == 45
    tracker.update_task(task_name="late comer", status=TaskStatus.COMPLETED)

    assert receiver.steps == [80, 90]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-5, 0), (250, 100), (33.9, 33), ("40", 0), (float("nan"), 0), (float("inf"), 100), (None, 0), ([1], 0)],
)
def test_progress_is_sanitised(value: Any, expected: int) -> None:
    tracker = TaskTracker("task", 1)
    tracker.update_task(task_name="main", status=TaskStatus.IN_PROGRESS, progress=value)
    assert (tracker.progress, tracker.get_status()) == (expected, TaskStatus.IN_PROGRESS)


# ---------------------------------------------------------------- never raising
@pytest.mark.parametrize(
    "nonsense",
    [{"status": "finished"}, {"status": 99}, {"devices": 5}, {"health_state": "ILL"}, {"health_state": 9}],
)
def test_an_update_that_means_nothing_fails_its_part_and_no_other(
    receiver: Receiver, nonsense: dict[str, Any]
) -> None:
    tracker = TaskTracker("task", 2, receiver)

    tracker.update_task(task_name="a", **nonsense)
    assert (receiver.payloads, tracker.get_status()) == ([], TaskStatus.IN_PROGRESS)
    tracker.update_task(task_name="b", status=TaskStatus.COMPLETED)

    (end,) = receiver.ends
    assert end["status"] is TaskStatus.FAILED
    assert end["result"][1].startswith("a: its report could not be understood: ")


def test_a_rule_that_raises_ends_the_task_failed(receiver: Receiver) -> None:
    class Broken:
        def applies(self, *_: object) -> bool:
            raise RuntimeError("broken rule")

    tracker = TaskTracker("task", 1, receiver, non_essential=(cast("NonEssential", Broken()),))

    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)
    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)

    (end,) = receiver.payloads
    assert (end["status"], end["result"]) == (
        TaskStatus.FAILED,
        (ResultCode.FAILED, "main: internal error: broken rule"),
    )
    assert tracker.wait_for_task_completion()


def test_a_receiver_that_raises_at_the_end_is_not_success() -> None:
    calls = []

    def receive(**payload: Any) -> None:
        calls.append(payload)
        raise RuntimeError("gone")

    tracker = TaskTracker("task", 1, receive, report_progress=True)
    tracker.update_task(task_name="main", status=TaskStatus.IN_PROGRESS)
    assert tracker.get_status() is TaskStatus.IN_PROGRESS
    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)

    assert [call["status"] for call in calls] == [TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED]
    assert tracker.overall_resultcode == (ResultCode.FAILED, "the outcome could not be reported: gone")
    assert tracker.wait_for_task_completion()


# ---------------------------------------------------------------- threads
def test_no_lock_is_held_while_the_receiver_is_called() -> None:
    seen = []
    tracker: TaskTracker

    def receive(**payload: Any) -> None:
        reader = threading.Thread(target=lambda: seen.append((payload["task_name"], tracker.get_status())))
        reader.start()
        reader.join(DEADLINE_S)
        tracker.update_task(task_name="b", status=TaskStatus.COMPLETED)

    tracker = TaskTracker("task", 2, receive, report_progress=True)
    tracker.update_task(task_name="a", status=TaskStatus.COMPLETED)

    assert seen == [("task", TaskStatus.IN_PROGRESS), ("task", TaskStatus.COMPLETED)]


def test_reports_of_several_threads_keep_their_order() -> None:
    entered, go_on = threading.Event(), threading.Event()
    received = []

    def receive(**payload: Any) -> None:
        received.append(payload["status"])
        entered.set()
        assert go_on.wait(DEADLINE_S)

    tracker = TaskTracker("task", 1, receive, report_progress=True)
    slow = threading.Thread(
        target=lambda: tracker.update_task(task_name="a", status=TaskStatus.IN_PROGRESS, progress=10)
    )
    slow.start()
    assert entered.wait(DEADLINE_S)
    tracker.update_task(task_name="a", status=TaskStatus.COMPLETED)
    assert received == [TaskStatus.IN_PROGRESS]
    go_on.set()
    slow.join(DEADLINE_S)

    assert received == [TaskStatus.IN_PROGRESS, TaskStatus.COMPLETED]
    assert tracker.wait_for_task_completion()


def test_many_threads_complete_a_task_once(receiver: Receiver) -> None:
    parts = [f"part {n}" for n in range(8)]
    tracker = TaskTracker("task", len(parts), receiver, report_progress=True)
    start = threading.Barrier(len(parts))

    def work(name: str) -> None:
        start.wait(DEADLINE_S)
        for progress in range(0, 100, 3):
            tracker.update_task(task_name=name, status=TaskStatus.IN_PROGRESS, progress=progress)
        tracker.update_task(task_name=name, status=TaskStatus.COMPLETED)

    threads = [threading.Thread(target=work, args=(name,)) for name in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert tracker.wait_for_task_completion()
    assert [payload["status"] for payload in receiver.ends] == [TaskStatus.COMPLETED]
    assert receiver.payloads[-1] is receiver.ends[0]
    assert receiver.steps == sorted(set(receiver.steps))


# ---------------------------------------------------------------- waiting
@pytest.mark.parametrize("kind", [None, threading.Event, ChainedEvent])
def test_waiting_ends_with_completion(kind: type[threading.Event] | None) -> None:
    tracker = TaskTracker("task", 1)
    answers: list[bool] = []
    cancel = kind() if kind else None
    waiter = threading.Thread(target=lambda: answers.append(tracker.wait_for_task_completion(cancel)))
    waiter.start()

    tracker.update_task(task_name="main", status=TaskStatus.COMPLETED)
    waiter.join(DEADLINE_S)

    assert answers == [True]


@pytest.mark.parametrize("kind", [threading.Event, ChainedEvent])
def test_waiting_ends_with_the_timeout_event(kind: type[threading.Event]) -> None:
    tracker = TaskTracker("task", 1)
    cancel = kind()
    answers: list[bool] = []
    waiter = threading.Thread(target=lambda: answers.append(tracker.wait_for_task_completion(cancel)))
    waiter.start()

    cancel.set()
    waiter.join(DEADLINE_S)

    assert answers == [False]
    tracker.signal_task_completion()
    assert tracker.wait_for_task_completion(cancel)


def test_a_chained_event_forgets_its_followers() -> None:
    event = ChainedEvent()
    calls: list[str] = []
    with event.followed_by(lambda: calls.append("first")):
        event.set()
    with event.followed_by(lambda: calls.append("already set")):
        pass
    event.set()
    assert calls == ["first", "already set"]


# ---------------------------------------------------------------- properties
NAMES = ("create", "init", "main", "archive")
updates = st.fixed_dictionaries(
    {"task_name": st.sampled_from(NAMES)},
    optional={
        "status": st.sampled_from(TaskStatus),
        "progress": st.integers(-10, 120),
        "result": st.one_of(st.none(), st.tuples(st.sampled_from(ResultCode), st.sampled_from(["", "why"]))),
        "devices": st.lists(st.sampled_from("abc")),
        "failed_devices": st.lists(st.sampled_from("abc")),
        "health_state": st.sampled_from(["OK", "DEGRADED"]),
        "error": st.lists(st.builds(Error, st.just("R"), st.sampled_from("xy")), max_size=2).map(tuple),
    },
)
scripts = st.lists(updates, max_size=25)


def followed(script: list[dict[str, Any]], total: int = len(NAMES)) -> tuple[TaskTracker, Receiver]:
    receiver = Receiver()
    tracker = TaskTracker(
        "task", total, receiver, non_essential=(NonEssential("archive"),), report_progress=True
    )
    for update in script:
        tracker.update_task(**update)
    return tracker, receiver


@given(script=scripts, data=st.data())
def test_the_order_of_updates_of_different_parts_does_not_matter(
    script: list[dict[str, Any]], data: st.DataObject
) -> None:
    waiting = {name: [update for update in script if update["task_name"] == name] for name in NAMES}
    shuffled = []
    while any(waiting.values()):
        name = data.draw(st.sampled_from([name for name in NAMES if waiting[name]]))
        shuffled.append(waiting[name].pop(0))

    one, received = followed(script)
    other, received_shuffled = followed(shuffled)

    assert one.subtasks == other.subtasks
    assert one.overall_resultcode == other.overall_resultcode
    assert (one.overall_status, one.overall_health) == (other.overall_status, other.overall_health)
    assert one.progress == other.progress
    assert received.ends == received_shuffled.ends


@given(script=scripts, total=st.integers(1, len(NAMES)))
def test_the_end_comes_once_and_not_before_the_last_part(script: list[dict[str, Any]], total: int) -> None:
    tracker, receiver = followed([], total)
    for update in script:
        tracker.update_task(**update)
        subtasks = tracker.subtasks.values()
        finished = len(subtasks) >= total and all(subtask.final for subtask in subtasks)
        assert len(receiver.ends) == int(finished)
        assert (tracker.get_status() in FINAL) == finished
    assert receiver.ends == [] or receiver.payloads[-1] is receiver.ends[0]


@given(script=scripts)
def test_progress_never_goes_back(script: list[dict[str, Any]]) -> None:
    tracker, receiver = followed([])
    seen = [tracker.progress]
    for update in script:
        tracker.update_task(**update)
        seen.append(tracker.progress)

    assert seen == sorted(seen)
    assert seen[-1] <= 100
    assert receiver.steps == sorted(set(receiver.steps))
    assert all(step % PROGRESS_STEP == 0 for step in receiver.steps)


@given(script=scripts)
def test_repeating_an_end_changes_nothing(script: list[dict[str, Any]]) -> None:
    tracker, receiver = followed(script)
    before = (tracker.subtasks, tracker.overall_resultcode, list(receiver.payloads))
    for name in [name for name, subtask in tracker.subtasks.items() if subtask.final]:
        tracker.update_task(task_name=name, status=TaskStatus.FAILED, result=[3, "late"], progress=1)
    assert (tracker.subtasks, tracker.overall_resultcode, receiver.payloads) == before
