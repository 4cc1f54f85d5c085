from __future__ import annotations

from itertools import permutations, product
from typing import Any

import pytest

from ska_oso_oet.ska.control_model import HealthState, ResultCode, TaskStatus
from ska_oso_oet.task import NonEssential, SubtaskResult, TaskAggregationPolicy
from ska_oso_oet.task.subtask import read_result

POLICY = TaskAggregationPolicy("RunActivity")
FINAL = (TaskStatus.FAILED, TaskStatus.ABORTED, TaskStatus.REJECTED, TaskStatus.COMPLETED)
RESULT = {
    TaskStatus.FAILED: ResultCode.FAILED,
    TaskStatus.ABORTED: ResultCode.ABORTED,
    TaskStatus.REJECTED: ResultCode.REJECTED,
    TaskStatus.COMPLETED: ResultCode.OK,
}


def ended(name: str, status: TaskStatus = TaskStatus.COMPLETED, **known: Any) -> SubtaskResult:
    return SubtaskResult(name, status, **known)


@pytest.mark.parametrize("statuses", product(FINAL, repeat=3))
def test_the_worst_outcome_wins(statuses: tuple[TaskStatus, ...]) -> None:
    parts = [ended(str(n), status) for n, status in enumerate(statuses)]
    worst = next(status for status in FINAL if status in statuses)

    outcome = POLICY.aggregate(parts, finished=True)

    assert (outcome.status, outcome.result) == (worst, RESULT[worst])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ResultCode.OK, ResultCode.OK),
        (ResultCode.STARTED, ResultCode.OK),
        (ResultCode.QUEUED, ResultCode.OK),
        (ResultCode.FAILED, ResultCode.FAILED),
        (ResultCode.UNKNOWN, ResultCode.FAILED),
        (ResultCode.REJECTED, ResultCode.REJECTED),
        (ResultCode.NOT_ALLOWED, ResultCode.REJECTED),
        (ResultCode.ABORTED, ResultCode.ABORTED),
    ],
)
def test_a_completed_part_is_judged_by_its_result_code(code: ResultCode, expected: ResultCode) -> None:
    outcome = POLICY.aggregate([ended("init"), ended("main", code=code)], finished=True)

    assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, expected)


def test_of_equal_outcomes_the_worse_status_is_the_tasks() -> None:
    parts = [ended("init", code=ResultCode.FAILED), ended("main", TaskStatus.FAILED)]

    for order in permutations(parts):
        assert POLICY.aggregate(order, finished=True).status is TaskStatus.FAILED


def test_a_failed_result_beats_an_aborted_part() -> None:
    parts = [ended("init", code=ResultCode.FAILED), ended("main", TaskStatus.ABORTED)]

    for order in permutations(parts):
        outcome = POLICY.aggregate(order, finished=True)
        assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, ResultCode.FAILED)


@pytest.mark.parametrize(
    ("statuses", "expected", "result"),
    [
        ([], TaskStatus.STAGING, ResultCode.UNKNOWN),
        ([TaskStatus.NOT_FOUND], TaskStatus.STAGING, ResultCode.UNKNOWN),
        ([TaskStatus.STAGING], TaskStatus.STAGING, ResultCode.UNKNOWN),
        ([TaskStatus.QUEUED, TaskStatus.STAGING], TaskStatus.QUEUED, ResultCode.QUEUED),
        ([TaskStatus.QUEUED, TaskStatus.IN_PROGRESS], TaskStatus.IN_PROGRESS, ResultCode.STARTED),
        ([TaskStatus.FAILED], TaskStatus.IN_PROGRESS, ResultCode.STARTED),
    ],
)
def test_before_the_last_part_has_ended_a_task_is_as_far_as_its_furthest_part(
    statuses: list[TaskStatus], expected: TaskStatus, result: ResultCode
) -> None:
    parts = [SubtaskResult(str(n), status) for n, status in enumerate(statuses)]

    outcome = POLICY.aggregate(parts, finished=False)

    assert (outcome.status, outcome.result, outcome.health) == (expected, result, None)


@pytest.mark.parametrize("status", [status for status in FINAL if status is not TaskStatus.COMPLETED])
def test_a_non_essential_part_degrades_and_does_not_fail(status: TaskStatus) -> None:
    policy = TaskAggregationPolicy("RunActivity", non_essential=(NonEssential("archive"),))
    parts = [ended("main"), ended("archive", status, message="disk full")]

    outcome = policy.aggregate(parts, finished=True)

    assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, ResultCode.OK)
    assert outcome.health is HealthState.DEGRADED
    assert outcome.message == "archive: disk full"


def test_a_rule_counts_only_in_its_context() -> None:
    rule = NonEssential("archive", operation="RunActivity", obs_mode="IMAGING")
    parts = [ended("main"), ended("archive", TaskStatus.FAILED)]
    policy = TaskAggregationPolicy("task", non_essential=(rule,))

    assert policy.aggregate(parts, finished=True).status is TaskStatus.FAILED
    assert policy.in_context("RunActivity", None).aggregate(parts, finished=True).status is TaskStatus.FAILED
    within = policy.in_context("RunActivity", None).in_context(None, "IMAGING")
    assert within.aggregate(parts, finished=True).status is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("status", "health"),
    [
        (TaskStatus.COMPLETED, HealthState.OK),
        (TaskStatus.FAILED, HealthState.FAILED),
        (TaskStatus.ABORTED, None),
        (TaskStatus.REJECTED, None),
    ],
)
def test_health_of_a_task(status: TaskStatus, health: HealthState | None) -> None:
    assert POLICY.aggregate([ended("main", status)], finished=True).health is health


def test_a_degraded_part_degrades_a_completed_task() -> None:
    parts = [ended("create", health=HealthState.DEGRADED), ended("main")]

    assert POLICY.aggregate(parts, finished=True).health is HealthState.DEGRADED


def test_messages_name_the_essential_problems_first_then_the_worst() -> None:
    policy = TaskAggregationPolicy("task", non_essential=(NonEssential("archive"),))
    parts = [
        ended("archive", TaskStatus.FAILED, message="disk full"),
        ended("create", TaskStatus.ABORTED),
        ended("init", message="fine"),
        ended("main", TaskStatus.FAILED, message="ValueError: x"),
    ]

    for order in permutations(parts):
        message = policy.aggregate(order, finished=True).message
        assert message == "main: ValueError: x; create: aborted; archive: disk full"


def test_without_a_bad_part_the_messages_of_the_good_ones_are_told() -> None:
    parts = [ended("main", message="3 scans"), ended("init")]

    assert POLICY.aggregate(parts, finished=True).message == "main: 3 scans"
    assert POLICY.aggregate([ended("init")], finished=True).message == "completed"


def test_a_part_without_a_message_is_explained_by_its_errors() -> None:
    class Error:
        reason = "API_Timeout"
        desc = "no answer within 3 s"

    parts = [ended("main", TaskStatus.FAILED, errors=(Error(),)), ended("init", errors=(Error(),))]

    assert POLICY.aggregate(parts, finished=True).message == "main: no answer within 3 s"


def test_a_root_task_has_a_header() -> None:
    root = TaskAggregationPolicy("RunActivity", is_root=True)
    failed = [ended("main", TaskStatus.FAILED, message="ValueError: x")]

    assert root.aggregate(failed, finished=True).message == "RunActivity failed: main: ValueError: x"
    assert root.aggregate([ended("main")], finished=True).message == "RunActivity completed"
    assert root.aggregate([], finished=False).message == "RunActivity staging"
    within = root.in_context("allocate", "IMAGING")
    assert (
        within.aggregate([ended("main")], finished=True).message
        == "RunActivity (allocate, IMAGING) completed"
    )


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ((ResultCode.OK, "done"), (ResultCode.OK, "done")),
        ([3, "ValueError"], (ResultCode.FAILED, "ValueError")),
        ([7, None], (ResultCode.ABORTED, "")),
        (ResultCode.REJECTED, (ResultCode.REJECTED, "")),
        ([99, "?"], (ResultCode.UNKNOWN, "?")),
        (True, (None, "")),
        ([True, "x"], (None, "")),
        ({"procedure_id": 3}, (None, "")),
        ("ok", (None, "")),
        ([1, 2, 3], (None, "")),
        (None, (None, "")),
    ],
)
def test_reading_a_result(result: Any, expected: tuple[ResultCode | None, str]) -> None:
    assert read_result(result) == expected
