"""Observing scripts in processes of their own, and what they publish."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ska_oso_oet.resources import scripts_dir

if TYPE_CHECKING:
    from tests.device.simulated_telescope import SimulatedTelescope

RUNNER = Path(__file__).with_name("run_script.py")


class Script:
    """One run of a script."""

    def __init__(
        self, telescope: SimulatedTelescope, name: str, init: dict[str, Any], main: dict[str, Any]
    ) -> None:
        arguments = [str(scripts_dir() / f"{name}.py"), json.dumps({"init": init, "main": main})]
        self.process = subprocess.Popen(
            [sys.executable, str(RUNNER), *arguments],
            env=telescope.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []

    def until(self, topic: str) -> None:
        """Read what it publishes until there is an event on `topic`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if self._keep(line) == topic:
                return
        raise AssertionError(f"no {topic}; {self.process.communicate()[1]}")

    def ended(self) -> tuple[int, str]:
        """Return its exit status and what it wrote to stderr."""
        with self.process:
            output, errors = self.process.communicate(timeout=60)
        for line in output.splitlines():
            self._keep(line)
        return self.process.returncode, errors

    def topics(self) -> list[str]:
        return [event["topic"] for event in self.events if event["topic"] != "procedure.progress"]

    def _keep(self, line: str) -> str | None:
        if not line.startswith("{"):
            return None
        self.events.append(json.loads(line))
        return str(self.events[-1]["topic"])


def script(
    telescope: SimulatedTelescope, name: str, *, subarray_id: int | None = None, **main: Any
) -> Script:
    init = {} if subarray_id is None else {"subarray_id": subarray_id}
    return Script(telescope, name, init, main)


def succeeds(telescope: SimulatedTelescope, name: str, **arguments: Any) -> Script:
    running = script(telescope, name, **arguments)
    status, errors = running.ended()
    assert status == 0, errors
    return running
