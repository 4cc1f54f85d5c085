"""Engines for the tests that run real processes: one for each module, and ones that a test may hurt."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.procedure_bench import IMPATIENT, PATIENT, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("bench"), spares=0) as bench:
        yield bench


@pytest.fixture
def bench(module_bench: Bench, tmp_path: Path, leak_guard: None) -> Iterator[Bench]:
    """An engine that the tests of a module share; each test's procedures end with it.

    It keeps no spare workers, as these would come and go between the tests.
    """
    module_bench.folder = tmp_path
    module_bench.grant(PATIENT)
    yield module_bench
    module_bench.grant(IMPATIENT)
    module_bench.stop_all()


@pytest.fixture
def new_bench(tmp_path: Path, leak_guard: None) -> Iterator[Callable[..., Bench]]:
    """Make engines of the test's own, with settings."""
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> Bench:
            bench = Bench(tmp_path, **settings)
            stack.enter_context(bench)
            return bench

        yield make
