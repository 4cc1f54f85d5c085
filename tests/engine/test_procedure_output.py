"""What a script prints is seen when it prints it, and kept however its process ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.procedure_bench import Bench, S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """As under a plain device server, whose environment says nothing of buffers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONUNBUFFERED", raising=False)
        with Bench(tmp_path_factory.mktemp("bench"), spares=0) as bench:
            yield bench


def seen(bench: Bench, pid: int, line: str) -> None:
    """Wait for a line."""
    bench.until(lambda: line in bench.written(pid), lambda: f"{line} is not in {bench.written(pid)}")


@pytest.mark.parametrize("stream", ["sys.stdout", "sys.stderr", "sys.__stdout__"])
@pytest.mark.parametrize("end", [r"\n", ""])
def test_what_is_printed_is_seen_while_the_script_runs(bench: Bench, stream: str, end: str) -> None:
    pid = bench.running(f"""
        def main():
            print("line 1", end="{end}", file={stream})
            tell("here")
            forever()
    """)
    seen(bench, pid, "line 1")
    assert bench.summary(pid).state is S.RUNNING


def test_a_progress_bar_moves(bench: Bench) -> None:
    pid = bench.running("""
        def main():
            tell("here")
            for step in range(10_000):
                print(f"\\rscan {step}", end="")
                time.sleep(0.1)
    """)

    def steps() -> list[str]:
        return [line for line in bench.written(pid) if line.startswith("scan ")]

    bench.until(lambda: len(steps()) >= 3, lambda: f"{steps()}")


@pytest.mark.parametrize(
    "death", ["os.kill(os.getpid(), signal.SIGKILL)", "ctypes.string_at(0)", "os._exit(3)"]
)
def test_what_was_printed_before_a_death_is_kept(bench: Bench, death: str) -> None:
    summary = bench.run(f"""
        import ctypes

        def main():
            print("a line")
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stderr.write("no end")
            sys.stdout.write("of a line")
            {death}
    """)
    assert summary.state is S.FAILED
    assert sorted(bench.written(summary.id)) == ["a line", "bytes", "no end", "of a line"]


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.Popen([sys.executable, '-c', CODE])",
        "multiprocessing.get_context('spawn').Process(target=exec, args=(CODE,)).start()",
        "multiprocessing.get_context('fork').Process(target=exec, args=(CODE,)).start()",
    ],
)
def test_what_a_python_program_of_a_script_prints_is_seen(bench: Bench, start: str) -> None:
    pid = bench.running(f"""
        import multiprocessing, subprocess

        CODE = "import time; print('of a child'); time.sleep(600)"

        def main():
            {start}
            tell("here")
            forever()
    """)
    seen(bench, pid, "of a child")


def test_what_is_printed_is_utf8_whatever_the_locale(
    new_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    bench = new_bench(spares=0)
    summary = bench.run("def main(): print('\\u00e9\\u2713')")
    assert bench.written(summary.id) == ["é✓"]


# ------------------------------------------------------------ secrets


def test_secrets_of_the_service_are_not_seen_in_scripts_nor_in_what_they_write(
    new_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ADMIN_POSTGRES_PASSWORD", "PGPASSWORD", "MY_TOKEN"):
        monkeypatch.setenv(name, f"swordfish of {name}")
    bench = new_bench(secret_variables=["*_TOKEN"])
    summary = bench.run("""
        import logging, subprocess

        def main():
            tell("environment", text=str(dict(os.environ)))
            print("it was", "swordfish of PGPASSWORD")
            logging.warning("swordfish of MY_TOKEN")
            subprocess.run(["env"])
            raise ValueError("swordfish of ADMIN_POSTGRES_PASSWORD")
    """)
    (told,) = bench.told(summary.id, "environment")
    assert "TANGO" in told["text"] or "PATH" in told["text"]
    assert "swordfish" not in told["text"]
    assert summary.exit is not None
    assert summary.exit.message == "ValueError: ***"
    written = bench.written(summary.id)
    assert {"it was ***", "root: ***"} < set(written)
    assert "swordfish" not in str(written) + str(summary.history.stacktrace)
