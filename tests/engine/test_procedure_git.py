"""Procedures whose scripts come from git, on the engine's interpreter and on one of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from ska_oso_oet.errors import ScriptNotAllowed
from ska_oso_oet.procedure.commands import PrepareProcessCommand
from ska_oso_oet.procedure.domain import ProcedureState
from ska_oso_oet.source.script import GitScript
from tests.engine.procedure_bench import FORGE, PRELUDE, Bench, are_gone
from tests.engine.test_environment_manager import Gate, Project, make_wheel
from tests.engine.test_git_manager import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from ska_oso_oet.procedure.domain import ProcedureSummary

S = ProcedureState
ENDS = (S.COMPLETE, S.FAILED, S.STOPPED)
DEADLINE = 90.0
MAIN = """
import sys
import scripting
def init(subarray_id):
    pass
def main():
    import tango
    tell("where", name=scripting.NAME, prefix=sys.prefix, tango=tango.__name__)
"""


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A project that is a package, with a script that imports it."""
    origin = Origin(tmp_path / "srv" / "project")
    Project(origin.path)
    origin.commit("scripts/observe.py", PRELUDE + MAIN)
    return origin


@pytest.fixture
def bench(
    new_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: Origin
) -> Bench:
    """An engine whose workers find packages only in a directory of the test's."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return new_bench(
        spares=0, git_repositories=[str(origin.path.parent)], environments_dir=tmp_path / "environments"
    )


def create(
    bench: Bench,
    origin: Origin,
    uri: str = "git:///scripts/observe.py",
    subarray_id: int = 1,
    **script: Any,
) -> int:
    git_args = {"git_repo": str(origin.path), "git_branch": "main", **script.pop("git_args", {})}
    request = {
        "script": {"script_type": "git", "script_uri": uri, "git_args": git_args, **script},
        "script_args": {"init": {"kwargs": {"subarray_id": subarray_id}}},
    }
    return bench.procedures.prepare(PrepareProcessCommand.parse(request)).id


def states(summary: ProcedureSummary) -> list[ProcedureState]:
    return [state for state, _ in summary.history.process_states]


def commit_of(summary: ProcedureSummary) -> str | None:
    assert isinstance(summary.script, GitScript)
    return summary.script.git_args.git_commit


def test_a_script_from_git_finds_what_its_repository_has_and_tells_its_commit(
    bench: Bench, origin: Origin
) -> None:
    origin.commit("helper.py", "VALUE = 7\n")
    tip = origin.commit(
        "scripts/plain.py", PRELUDE + "import helper\ndef main(): tell('v', n=helper.VALUE)\n"
    )
    pid = create(bench, origin, "git:///scripts/plain.py")
    assert bench.wait(pid, S.READY, *ENDS, timeout=DEADLINE).state is S.READY
    bench.start(pid)
    ended = bench.ended(pid)
    assert ended.state is S.COMPLETE
    assert commit_of(ended) == tip
    assert bench.told(pid, "v") == [{"n": 7}]


@pytest.mark.parametrize("create_env", [False, True])
def test_each_run_has_a_copy_of_its_own_which_goes_with_its_process(
    bench: Bench, origin: Origin, *, create_env: bool
) -> None:
    """What one leaves beside its script is not there for one that runs at the same moment, nor afterwards."""
    origin.commit(
        "scripts/leaving.py",
        PRELUDE
        + """
from pathlib import Path
def init(subarray_id):
    tell("beside", names=sorted(path.name for path in Path(__file__).parent.iterdir()), file=__file__)
    (Path(__file__).parent / "helper.py").touch()
def main(): os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    runs = []
    for subarray_id in (1, 2):
        pid = create(
            bench, origin, "git:///scripts/leaving.py", subarray_id=subarray_id, create_env=create_env
        )
        assert bench.wait(pid, S.READY, *ENDS, timeout=DEADLINE).state is S.READY, bench.written(pid)
        runs.append(pid)
    told = [bench.told(pid, "beside")[0] for pid in runs]
    assert [each["names"] for each in told] == [["leaving.py", "observe.py"]] * 2
    files = [Path(each["file"]) for each in told]
    assert all(file.exists() for file in files)
    for pid in runs:
        bench.start(pid)
        assert bench.ended(pid).state is S.FAILED
    bench.engine._run_directory._deleting.submit(lambda: None).result(DEADLINE)
    assert not any(file.exists() for file in files)


def test_a_script_cannot_change_the_commit_that_it_is_taken_from(bench: Bench, origin: Origin) -> None:
    tip = origin.commit(
        "scripts/forging.py",
        PRELUDE + FORGE + f"forge({{'kind': 'resolved', 'commit': '{'f' * 40}'}})\n" + MAIN,
    )
    pid = create(bench, origin, "git:///scripts/forging.py")
    assert commit_of(bench.wait(pid, S.READY, *ENDS, timeout=DEADLINE)) == tip


def test_an_environment_is_prepared_once_and_the_script_runs_on_its_interpreter(
    bench: Bench, origin: Origin
) -> None:
    prefixes = set()
    for _ in range(2):
        pid = create(bench, origin, create_env=True)
        ready = bench.wait(pid, S.READY, *ENDS, timeout=DEADLINE)
        assert ready.state is S.READY, bench.written(pid)
        assert states(ready) == [
            *(S.CREATING, S.IDLE, S.PREP_ENV, S.IDLE, S.LOADING, S.IDLE, S.INITIALISING, S.READY)
        ]
        bench.start(pid)
        assert bench.ended(pid).state is S.COMPLETE
        [where] = bench.told(pid, "where")
        assert (where["name"], where["tango"]) == ("own", "tango")
        prefixes.add(where["prefix"])
    assert len(prefixes) == 1
    assert prefixes.pop().startswith(str(bench.folder / "environments"))


def test_what_goes_wrong_with_a_repository_is_named(bench: Bench, origin: Origin) -> None:
    for script, expected in (
        ({"git_args": {"git_branch": "no-such"}}, "no-such"),
        ({"git_args": {"git_commit": "0123456789abcdef"}}, "0123456789abcdef"),
        ({"uri": "git:///nothing.py"}, "/nothing.py"),
        ({"git_args": {"git_repo": str(origin.path.parent / "elsewhere")}}, "elsewhere"),
    ):
        pid = create(bench, origin, **script)
        ended = bench.ended(pid, DEADLINE)
        assert ended.state is S.FAILED
        assert ended.exit is not None
        assert expected in (ended.exit.message or "")
    with pytest.raises(ScriptNotAllowed):
        create(bench, origin, git_args={"git_repo": "https://example.org/other"})


def test_an_environment_that_cannot_be_made_fails_the_procedure_with_pips_reason(
    bench: Bench, origin: Origin
) -> None:
    make_wheel(origin.path / "prebuilt", "scripting", "1.0", {"scripting/__init__.py": ""}, "no-such-thing")
    origin.commit("changed", "")
    pid = create(bench, origin, create_env=True)
    ended = bench.ended(pid, DEADLINE)
    assert ended.state is S.FAILED
    assert any("no-such-thing" in line for line in bench.written(pid))


def test_a_procedure_that_prepares_its_environment_can_be_stopped_and_another_takes_over(
    new_bench: Callable[..., Bench], bench: Bench, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(bench.folder / "gate")
    monkeypatch.setenv("OET_TEST_GATE", str(gate.path))
    gated = new_bench(
        spares=0,
        git_repositories=[str(origin.path.parent)],
        environments_dir=bench.folder / "environments",
    )
    builder = create(gated, origin, create_env=True)
    gated.wait(builder, S.PREP_ENV)
    gate.wait_until_building()
    waiter = create(bench, origin, create_env=True)
    bench.wait(waiter, S.PREP_ENV)
    # Another script is not held up meanwhile.
    assert gated.run("def main(): pass").state is S.COMPLETE
    here = psutil.Process(gated.fork_server).children(recursive=True)
    stopped = gated.stop(builder)
    assert (stopped.state, states(stopped)[-2]) == (S.STOPPED, S.PREP_ENV)
    assert are_gone([process.pid for process in here])
    ready = bench.wait(waiter, S.READY, *ENDS, timeout=DEADLINE)
    assert ready.state is S.READY, bench.written(waiter)


def test_a_builder_that_is_killed_fails_and_leaves_nothing_half_made(bench: Bench, origin: Origin) -> None:
    pid = create(bench, origin, create_env=True)
    bench.wait(pid, S.PREP_ENV)
    [worker] = psutil.Process(bench.fork_server).children()
    os.kill(worker.pid, signal.SIGKILL)
    ended = bench.ended(pid, DEADLINE)
    assert ended.state in {S.FAILED, S.COMPLETE}
    again = create(bench, origin, create_env=True)
    ready = bench.wait(again, S.READY, *ENDS, timeout=DEADLINE)
    assert ready.state is S.READY, bench.written(again)
