"""A running stack of this installation, for tests that use it as its user does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.resources import program
from tests.system.oet_program import DEADLINE
from tests.system.stack_process import StackProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def start(data_dir: Path) -> StackProcess:
    running = StackProcess(
        [program("oet"), "up", "--port", "0", "--data-dir", str(data_dir)],
        data_dir,
        data_dir.with_suffix(".stderr"),
    )
    try:
        running.wait_ready()
    except BaseException:
        running.close()
        raise
    return running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    """One stack for all tests that leave it as they find it."""
    running = start(tmp_path_factory.mktemp("stack") / "data")
    yield running
    running.close()


@pytest.fixture
def client(stack: StackProcess) -> Iterator[OETClient]:
    """A client of the stack that all share; what is still live after a test is stopped."""
    with OETClient(f"tango://{stack.tango_host}/{DEFAULT_DEVICE}") as client:
        yield client
        for procedure in client.list():
            if not procedure.state.final:
                client.stop(procedure.id, run_abort=False, timeout=DEADLINE)


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[StackProcess]:
    """A stack for one test, which may kill parts of it."""
    running = start(tmp_path / "data")
    yield running
    running.close()


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[Callable[..., StackProcess]]:
    """Start stacks by command lines of the test's own; all are ended after it."""
    started: list[StackProcess] = []

    def begin(argv: list[str], data_dir: Path | None = None) -> StackProcess:
        stderr = tmp_path / f"stderr-{len(started)}"
        started.append(StackProcess(argv, data_dir or tmp_path / "data", stderr))
        return started[-1]

    yield begin
    for running in started:
        running.close()
