"""The subarray that a script is given when nobody has named one, by real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.errors import SubarrayBusy, SubarrayNotAllowed
from ska_oso_oet.procedure.domain import ProcedureInput, ProcedureState
from tests.engine.procedure_bench import ENDS, Bench, how, states_of

if TYPE_CHECKING:
    from collections.abc import Callable

S = ProcedureState
MUST = """
def init(subarray_id, colour="grey"):
    tell("init", subarray_id=subarray_id, colour=colour)
def main():
    tell("here")
    forever()
"""
MAY = MUST.replace("init(subarray_id,", "init(subarray_id=3,")
NONE = """
def init(**kwargs):
    tell("init", **kwargs)
def main():
    tell("here")
    forever()
"""


def test_a_script_that_must_have_a_subarray_gets_the_first_and_holds_it(bench: Bench) -> None:
    pid = bench.running(MUST, colour="red")
    assert bench.told(pid, "init") == [{"subarray_id": 1, "colour": "red"}]
    summary = bench.summary(pid)
    assert summary.script_args.init == ProcedureInput(subarray_id=1, colour="red")
    assert summary.subarray_ids == [1]
    with pytest.raises(SubarrayBusy, match=f"procedure {pid}, .* holds subarray 1"):
        bench.start(bench.ready(MUST))
    bench.start(other := bench.ready(MUST, subarray_id=2))
    bench.heard(other, "here")


def test_a_scripts_own_default_is_what_it_holds(bench: Bench) -> None:
    pid = bench.running(MAY)
    assert bench.told(pid, "init") == [{"subarray_id": 3, "colour": "grey"}]
    assert bench.summary(pid).subarray_ids == [3]


def test_a_script_that_takes_no_subarray_gets_none_and_runs_beside_no_other(bench: Bench) -> None:
    pid = bench.running(NONE, colour="red")
    assert bench.told(pid, "init") == [{"colour": "red"}]
    assert bench.summary(pid).subarray_ids == []
    with pytest.raises(SubarrayBusy, match="holds everything"):
        bench.start(bench.ready(MUST, subarray_id=2))


def test_the_subarray_that_is_named_for_main_is_meant_for_init_too(bench: Bench) -> None:
    """Nobody has said 1: a script that is to observe with another one fails rather than command that."""
    pid = bench.load(bench.script(MUST).as_uri(), main=ProcedureInput(subarray_id=4))
    ended = bench.ended(pid)
    assert ended.state is S.FAILED
    assert "subarray_id" in (how(ended).message or "")
    assert ended.subarray_ids == [4]


def test_a_controller_of_one_subarray_gives_that_one(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(subarrays="2")
    pid = bench.running(MUST)
    assert bench.told(pid, "init") == [{"subarray_id": 2, "colour": "grey"}]
    with pytest.raises(SubarrayNotAllowed, match="commands subarray 2, not subarray 1"):
        bench.create(MUST, subarray_id=1)
    with pytest.raises(SubarrayNotAllowed, match="names no subarray"):
        bench.start(bench.ready(NONE))


def test_a_script_whose_default_is_another_controllers_is_not_initialised(
    new_bench: Callable[..., Bench],
) -> None:
    bench = new_bench(subarrays="2")
    ended = bench.wait(bench.create(MAY), *ENDS)
    assert ended.state is S.FAILED
    assert "commands subarray 2, not subarray 3" in (how(ended).message or "")
    assert S.INITIALISING not in states_of(ended)
    assert bench.told(ended.id, "init") == []
