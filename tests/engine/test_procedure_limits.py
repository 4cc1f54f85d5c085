"""One script cannot take what the others and the service need."""

from __future__ import annotations

import os
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine.procedure_bench import DEADLINE, Bench, S, how

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ska_oso_oet.mptools import Proc

NOOP = "def main(): pass"
GREEDY = """
def init(**_): pass
def main(mib):
    hoard = [bytearray(1024 * 1024) for _ in range(mib)]
    tell("had", mib=len(hoard))
"""


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_the_kernel_is_offered_scripts_first_and_the_controller_last(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(spares=1)
    pid = bench.running("""
        import subprocess
        def main():
            child = subprocess.Popen(["sleep", "600"])
            tell("here", pids=[os.getpid(), child.pid])
            forever()
    """)
    script, child = bench.heard(pid, "here")["pids"]
    pool = bench.engine._pool
    filled: Future[Proc] = Future()

    def fill() -> None:
        pool.fill()
        filled.set_result(pool._spares[0].proc)

    bench.engine.context.submit(fill)
    spare = filled.result(DEADLINE)
    assert spare.started.result(DEADLINE)
    assert spare.pid is not None
    scores = [oom_score(pid) for pid in (os.getpid(), bench.fork_server, spare.pid, script, child)]
    assert scores[0] < scores[1] < scores[2] < scores[3] == scores[4] == 1000


def test_memory_is_limited_for_each_process(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(worker_memory=200)
    pids = [bench.ready(GREEDY, subarray_id=number) for number in (1, 2)]
    for pid, mib in zip(pids, (100, 1000), strict=True):
        bench.start(pid, mib)
    assert bench.ended(pids[0]).state is S.COMPLETE
    assert bench.ended(pids[1]).state is S.FAILED
    assert str(how(bench.ended(pids[1])).message).startswith("MemoryError")


def test_a_limit_that_cannot_be_set_is_no_run_without_a_limit(
    new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, spares=0, worker_cgroups=[tmp_path / "none"])
    bench.pump.start()
    bench.engine.start()
    try:
        summary = bench.run(NOOP)
    finally:
        bench.__exit__()
    assert summary.state is S.FAILED
    assert "the limits of a script cannot be set: " in str(how(summary).message)
    assert str(tmp_path / "none") in str(how(summary).message)


# ------------------------------------------------------------ where groups can be made


@pytest.fixture
def cgroups() -> Iterator[list[Path]]:
    """Directories in which groups can be made, of the version that this machine has, where that is wanted."""
    if not os.environ.get("OET_TEST_CGROUPS"):
        pytest.skip("changes the cgroups of the machine: set OET_TEST_CGROUPS=1")
    root = Path("/sys/fs/cgroup")
    unified = (root / "cgroup.controllers").exists()
    parents = [root] if unified else [root / "pids", root / "memory"]
    made = [parent / f"oet-tests-{os.getpid()}" for parent in parents]
    try:
        if unified:
            (root / "cgroup.subtree_control").write_text("+pids +memory")
        for group in made:
            group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield made
    for group in made:
        group.rmdir()  # fails if anything was left in it


def test_a_fork_bomb_stays_among_itself(new_bench: Callable[..., Bench], cgroups: list[Path]) -> None:
    bench = new_bench(worker_cgroups=cgroups, worker_processes=50)
    bomb = bench.running(
        """
        def init(subarray_id): pass
        def main():
            children = []
            try:
                while len(children) < 1000:
                    if (child := os.fork()) == 0:
                        time.sleep(600)
                    children.append(child)
            except OSError as error:
                tell("here", made=len(children), error=str(error))
            forever()
    """,
        subarray_id=1,
    )
    told = bench.heard(bomb, "here")
    assert 30 < told["made"] < 50
    assert "Resource temporarily unavailable" in told["error"]
    assert bench.run(GREEDY.replace("main(mib)", "main(mib=1)"), subarray_id=2).state is S.COMPLETE
    assert bench.stop(bomb).state is S.STOPPED
    assert [path for group in cgroups for path in group.glob("oet-*")] == []


def test_memory_is_limited_for_all_that_a_script_starts(
    new_bench: Callable[..., Bench], cgroups: list[Path]
) -> None:
    bench = new_bench(worker_cgroups=cgroups, worker_memory=300)
    summary = bench.run("""
        def main():
            for _ in range(8):
                if os.fork() == 0:
                    hoard = bytearray(b"x") * 100_000_000
                    time.sleep(600)
            hoard = bytearray(b"x") * 1_000_000_000
    """)
    assert (summary.state, how(summary).signal) == (S.FAILED, 9)
    assert how(summary).message == "killed, as it took more than the 300 MiB of memory that it may have"
    assert bench.run(NOOP).state is S.COMPLETE


def test_groups_that_a_killed_controller_left_are_removed(
    new_bench: Callable[..., Bench], cgroups: list[Path]
) -> None:
    left = cgroups[0] / "oet-999999999"
    left.mkdir()
    bench = new_bench(worker_cgroups=cgroups, spares=0)
    bench.engine._trim()
    assert not left.exists()
