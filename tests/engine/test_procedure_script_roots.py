"""A link that flips between a script that is allowed and a file outside: what runs is what was allowed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ska_oso_oet.errors import ScriptNotAllowed
from ska_oso_oet.procedure.domain import ProcedureState
from tests.engine.procedure_bench import PRELUDE, how

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.procedure_bench import Bench

S = ProcedureState
ROUNDS = 40


class Flipping:
    """Points a link to one file and the other in turn, as fast as it can."""

    def __init__(self, link: Path, *targets: Path) -> None:
        self._stop = threading.Event()
        self._link = link
        self._targets = targets
        self._point_to(0)
        self._thread = threading.Thread(target=self._flip)

    def _point_to(self, turn: int) -> None:
        new = self._link.with_suffix(".new")
        new.symlink_to(self._targets[turn % len(self._targets)])
        new.replace(self._link)

    def _flip(self) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            self._point_to(turn)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_no_file_outside_is_run_however_a_link_changes(
    new_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = new_bench(script_roots=str(tmp_path))
    roots = bench.folder
    inside, outside = roots / "inside.py", tmp_path.parent / f"{tmp_path.name}-outside.py"
    inside.write_text(PRELUDE + "def main(): pass\n")
    outside.write_text(PRELUDE + "tell('broken_out')\ndef main(): pass\n")
    link = roots / "link.py"
    ends = []
    with Flipping(link, inside, outside):
        for _ in range(ROUNDS):
            try:
                pid = bench.load(link.as_uri())
            except ScriptNotAllowed:
                continue
            if bench.wait(pid, S.READY, S.FAILED).state is S.READY:
                bench.stop(pid)
            ends.append(bench.ended(pid))
    assert ends
    assert not any(bench.told(end.id, "broken_out") for end in ends)
    refused = [how(end).message or "" for end in ends if end.state is S.FAILED]
    assert all("outside the directories" in message for message in refused), refused
