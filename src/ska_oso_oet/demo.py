"""`make demo` shows an observation with a simulated telescope, then one that is stopped in the middle."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from ska_oso_oet import resources
from ska_oso_oet.embedded import stack_processes
from ska_oso_oet.embedded.child import die_with_parent
from ska_oso_oet.scripting.scheduling_block import example

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY = "ready TANGO_HOST="
TIME_SCALE = 0.2  # five times as fast as a real telescope
SCANNING = "subarray.scan.started"  # what a followed observation publishes when a scan has begun
LASTING = json.dumps({"main": {"kwargs": {"scan_duration": 600}}})
STOPPED = 4  # exit code of `oet` that follows something which was stopped


class DemoFailed(Exception):
    """A command of the demo did not end as it should; it has printed the reason."""


def main() -> int:
    """Show a session from start to end; return 0 when all of it went well."""
    failure = ""
    terminal = Terminal(Path(mkdtemp(prefix="oet-demo-")))
    try:
        with terminal.stack():
            show(terminal)
    except DemoFailed as error:
        failure = str(error)
    left = [f"{pid} {name}" for pid, name in stack_processes(terminal.data_dir).items()]
    say(f"processes left behind: {', '.join(left) or 'none'}")
    if failure:
        say(f"the demo has failed: {failure}; its logs are kept in {terminal.data_dir / 'logs'}")
        return 1
    shutil.rmtree(terminal.directory)
    return 1 if left else 0


def show(terminal: Terminal) -> None:
    """Observe, twice."""
    sbd = example("mid")
    block = sbd["sbd_id"]
    (terminal.directory / "mid_sb.json").write_text(json.dumps(sbd), encoding="utf-8")
    terminal.oet("sbd", "add", "mid_sb.json", f"--data-dir={terminal.data_dir}")
    say("-- an observation: two scans with subarray 1")
    terminal.oet("procedure", "run", script("startup.py"))
    terminal.oet("activity", "run", "allocate", block)
    terminal.oet("activity", "run", "observe", block)
    terminal.oet("activity", "run", "deallocate", block)
    terminal.oet("procedure", "run", script("standby.py"))
    say("-- another observation, which is stopped in the middle of its first scan")
    terminal.oet("procedure", "run", script("startup.py"), quiet=True)
    terminal.oet("activity", "run", "allocate", block, quiet=True)
    with terminal.following("activity", "run", "observe", block, f"--script_args={LASTING}"):
        terminal.oet("procedure", "stop", "--run_abort=True")
    say("-- subarray 1 is ABORTED; it is restarted")
    terminal.oet("procedure", "run", script("abort.py"), "--restart=True")
    terminal.oet("procedure", "run", script("standby.py"), quiet=True)
    say("-- what has happened")
    terminal.oet("activity", "list")
    terminal.oet("procedure", "list")


def script(name: str) -> str:
    """Name an installed observing script."""
    return (resources.scripts_dir() / name).as_uri()


class Terminal:
    """Starts a system and runs `oet` in `directory`, and shows what they print."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self._environment = dict(os.environ)

    @contextmanager
    def stack(self) -> Iterator[None]:
        """Run `oet up`; raises DemoFailed when it does not start."""
        options = ["--port=0", "--telescope=mid", f"--time-scale={TIME_SCALE}", f"--data-dir={self.data_dir}"]
        self._prompt(["up", *options])
        with self._popen(
            ["up", *options],
            preexec_fn=die_with_parent(signal.SIGTERM),  # no other threads run here
        ) as process:
            try:
                line = process.stdout.readline().strip() if process.stdout else ""
                print(line, flush=True)
                if not line.startswith(READY):
                    raise DemoFailed("the system does not start")
                self._environment["TANGO_HOST"] = line.removeprefix(READY).partition(" ")[0]
                yield
            finally:
                say("-- stopping the system")
                process.terminate()

    def oet(self, *arguments: str, quiet: bool = False) -> None:
        """Run `oet`; what it prints is not shown if `quiet`, unless it fails."""
        self._prompt(arguments)
        done = subprocess.run(
            [resources.program("oet"), *arguments],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE if quiet else None,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stdout or "", flush=True)
            raise DemoFailed(f"oet {' '.join(arguments[:3])} ended with exit code {done.returncode}")

    @contextmanager
    def following(self, *arguments: str) -> Iterator[None]:
        """Run `oet` until it reports a scan; the block stops that; then show how it ended."""
        self._prompt(arguments)
        with self._popen(arguments) as process:
            lines = iter(process.stdout or ())
            for line in lines:
                print(line, end="", flush=True)
                if SCANNING in line:
                    break
            else:
                raise DemoFailed("the observation did not come to its first scan")
            yield
            say("-- what the observation says of it")
            print(*lines, sep="", flush=True)
        if process.returncode != STOPPED:
            raise DemoFailed(f"the observation ended with exit code {process.returncode}, not {STOPPED}")

    def _popen(self, arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [resources.program("oet"), *arguments],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )

    def _prompt(self, arguments: Sequence[str]) -> None:
        command = " ".join(f"'{part}'" if "{" in part else part for part in arguments)
        say(f"$ oet {command}".replace(str(self.directory), "…"))


def say(text: str) -> None:
    """Print a line with an empty one before it."""
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
