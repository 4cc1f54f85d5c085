"""Whether scripts can be run is tried with a script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.mptools import MainContext
from ska_oso_oet.worker.pool import PRELOAD
from ska_oso_oet.worker.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE = 30.0


def problem() -> str | None:
    with MainContext(PRELOAD) as context:
        trial = Trial(context)
        return trial.problem(trial.proc.exited.result(DEADLINE))


def test_a_script_can_be_run() -> None:
    assert problem() is None


@pytest.mark.parametrize("module", ["pubsub", "tango"])
def test_what_scripts_need_and_cannot_have_is_a_problem(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text("raise ImportError('not what was meant')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    assert problem() is not None
