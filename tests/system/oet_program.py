"""The `oet` program as its users run it: a process of its own."""

from __future__ import annotations

import copy
import json
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

from ska_oso_oet.cli import main
from ska_oso_oet.resources import program
from tests.warm_process import WarmProcess

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 60.0


class Oet:
    """Runs `oet` with the environment of a client of a stack; `scripts` are sources by name."""

    def __init__(self, environment: dict[str, str], folder: Path, **scripts: str) -> None:
        self.environment = environment
        self.uris = {}
        for name, source in scripts.items():
            path = folder / f"{name}.py"
            path.write_text(source)
            self.uris[name] = path.as_uri()

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end. What is read of the environment may be read at the start: then it has one."""
        if not variables:
            return self._warm([program("oet"), *arguments])
        return subprocess.run(
            [program("oet"), *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def _warm(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            process = WarmProcess(
                main, argv, env=self.environment, stdout=out.fileno(), stderr=errors.fileno()
            )
            try:
                code = process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(DEADLINE)
                raise
            out.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(argv, code, out.read().decode(), errors.read().decode())

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Run with --json; stdout must be one document, and stderr empty."""
        done = self(*arguments, "--json")
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def over_http(self, url: str) -> Oet:
        """The same where there is no Tango, but the HTTP API at `url`."""
        other = copy.copy(self)
        other.environment = {**self.environment, "TANGO_HOST": "127.0.0.1:1", "OET_REST_URI": url}
        return other

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [program("oet"), *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
