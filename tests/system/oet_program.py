"""The `oet` program as its users run it: a process of its own."""

from __future__ import annotations

import copy
import json
import subprocess
from typing import TYPE_CHECKING, Any

from ska_oso_oet.resources import program

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
        return subprocess.run(
            [program("oet"), *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

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
