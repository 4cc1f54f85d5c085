"""The observing scripts in real ScriptWorkers, against the simulated telescope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ska_oso_oet.procedure.commands import StopProcessCommand
from ska_oso_oet.procedure.domain import ProcedureInput
from ska_oso_oet.resources import scripts_dir
from ska_oso_oet.ska.control_model import ObsState
from tests.device.simulated_telescope import Recorder, simulated_telescope
from tests.engine.procedure_bench import Bench, S, how

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.device.simulated_telescope import SimulatedTelescope

SB = str(scripts_dir() / "data" / "mid_sb.json")


@pytest.fixture(scope="module")
def mid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTelescope]:
    with simulated_telescope("mid", tmp_path_factory.mktemp("mid")) as running:
        yield running


@pytest.fixture(scope="module")
def engine(mid: SimulatedTelescope, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TANGO_HOST", mid.tango_host)
        environment.setenv("SKA_TELESCOPE", "skamid")
        environment.setenv("OET_SCAN_ID_FILE", str(tmp_path_factory.mktemp("ids") / "scan-ids"))
        with Bench(tmp_path_factory.mktemp("bench"), spares=0) as bench:
            yield bench


@pytest.fixture
def bench(engine: Bench, mid: SimulatedTelescope, leak_guard: None) -> Iterator[Bench]:
    mid.reset()
    yield engine
    engine.stop_all()


@pytest.fixture
def states(mid: SimulatedTelescope, bench: Bench) -> Iterator[Recorder]:
    recorder = Recorder(mid.subarray(1), "obsState")
    yield recorder
    recorder.close()


def started(bench: Bench, name: str, subarray_id: int | None = 1, **main: Any) -> int:
    init = ProcedureInput() if subarray_id is None else ProcedureInput(subarray_id=subarray_id)
    pid = bench.load((scripts_dir() / f"{name}.py").as_uri(), init)
    assert bench.wait(pid, S.READY, S.FAILED).state is S.READY, bench.written(pid)
    bench.start(pid, **main)
    return pid


def run(bench: Bench, name: str, subarray_id: int | None = 1, **main: Any) -> None:
    summary = bench.ended(started(bench, name, subarray_id, **main))
    assert summary.state is S.COMPLETE, summary


def observing(bench: Bench, states: Recorder) -> int:
    """Observe up to the middle of a scan that does not end by itself."""
    run(bench, "startup", None)
    run(bench, "allocate_from_file_sb", sb_json=SB)
    pid = started(bench, "observe_sb", sb_json=SB, scan_duration=100_000.0)
    states.until(ObsState.SCANNING)
    return pid


def test_a_stop_in_mid_scan_leaves_the_subarray_idle(bench: Bench, states: Recorder) -> None:
    pid = observing(bench, states)
    summary = bench.stop(pid)
    assert summary.state is S.STOPPED
    assert how(summary).stopped_by == "SIGTERM", bench.written(pid)
    assert [ObsState(state).name for state in states.until(ObsState.IDLE)] == ["READY", "IDLE"]


def test_a_stop_with_abort_in_mid_scan_leaves_the_subarray_aborted(bench: Bench, states: Recorder) -> None:
    pid = observing(bench, states)
    bench.procedures.stop(StopProcessCommand(procedure_id=pid, run_abort=True))
    states.until(ObsState.ABORTED)
    assert bench.ended(pid).state is S.STOPPED
    abort = max(summary.id for summary in bench.procedures.summarise())
    assert abort > pid
    assert bench.ended(abort).state is S.COMPLETE


def test_a_fault_is_in_the_traceback(bench: Bench, states: Recorder, mid: SimulatedTelescope) -> None:
    run(bench, "startup", None)
    run(bench, "allocate_from_file_sb", sb_json=SB)
    subarray = mid.proxy(mid.subarray(1))
    subarray.InjectFault('{"command": "Configure", "message": "the correlator is on fire"}')
    summary = bench.ended(started(bench, "observe_sb", sb_json=SB))
    assert summary.state is S.FAILED
    assert "the correlator is on fire" in str(summary.history.stacktrace)
    assert subarray.obsState == ObsState.IDLE


def test_scan_ids_go_on_from_script_to_script(
    bench: Bench, states: Recorder, mid: SimulatedTelescope
) -> None:
    run(bench, "startup", None)
    run(bench, "allocate_from_file_sb", sb_json=SB)
    scans = Recorder(mid.subarray(1), "scanID")
    for _ in range(2):
        run(bench, "observe_sb", sb_json=SB, scan_duration=1.0)
        states.until(ObsState.READY)
        states.until(ObsState.IDLE)
    subarray = mid.proxy(mid.subarray(1))
    subarray.ReleaseAllResources()
    states.until(ObsState.EMPTY)
    seen = [number for _ in range(5) for number in scans.until(0) if number]
    scans.close()
    assert len(seen) == 4
    assert seen == list(range(seen[0], seen[0] + 4))
