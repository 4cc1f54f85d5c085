"""`make demo`: a system comes up, runs an observing script that commands a Tango device, and goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ska_oso_oet import resources
from ska_oso_oet.embedded import stack_processes
from ska_oso_oet.embedded.child import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READY = "ready "


def main() -> int:
    """Show a session from start to end; return 0 when all of it went well."""
    with TemporaryDirectory(prefix="oet-demo-") as directory:
        data_dir = Path(directory) / "data"
        with _stack(data_dir) as environment:
            if environment is None:
                return 1
            script = resources.scripts_dir() / "hello_world.py"
            code = _oet(environment, "procedure", "run", script.as_uri(), "SKA", "--scans=3")
            code = _oet(environment, "procedure", "list") or code
        left = [f"{pid} {name}" for pid, name in stack_processes(data_dir).items()]
    _say(f"processes left behind: {', '.join(left) or 'none'}")
    return 1 if left else code


@contextmanager
def _stack(data_dir: Path) -> Iterator[dict[str, str] | None]:
    """Run `oet up`; the value is the environment for its clients, None when it does not start."""
    argv = [resources.program("oet"), "up", "--port", "0", "--data-dir", str(data_dir)]
    _say("$ oet up --port 0 --data-dir …   (a Tango database and OETController)")
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no other threads run here
    ) as process:
        try:
            line = process.stdout.readline().strip() if process.stdout else ""
            print(line)
            yield {**os.environ, "TANGO_HOST": line.partition("=")[2]} if line.startswith(READY) else None
        finally:
            _say("stopping the system")
            process.terminate()


def _oet(environment: Mapping[str, str], *arguments: str) -> int:
    _say(f"$ oet {' '.join(arguments)}")
    return subprocess.run([resources.program("oet"), *arguments], env=environment, check=False).returncode


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
