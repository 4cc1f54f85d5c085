"""Who follows a script that says nothing hears nothing, whatever others call themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.procedure.domain import ProcedureState
from tests.system.oet_program import DEADLINE, Oet

if TYPE_CHECKING:
    from pathlib import Path

    from ska_oso_oet.client import OETClient
    from tests.system.stack_process import StackProcess

SILENT = """
import time
from pathlib import Path

def init(subarray_id):
    pass

def main(until):
    while not Path(until).exists():
        time.sleep(0.02)
"""
NOISY = """
import time
from pathlib import Path
from pubsub import pub

def init(subarray_id):
    pass

def main(name, until):
    for number in range(1_000_000):
        for msg_src in (name, "noisy", "SESWorker"):
            pub.sendMessage("procedure.progress", msg_src=msg_src, progress=18, message="of another")
            pub.sendMessage("user.script.announce", msg_src=msg_src, msg="of another")
        if number == 20:
            Path(until).touch()
        time.sleep(0.02)
"""


@pytest.fixture
def oet(stack: StackProcess, tmp_path: Path) -> Oet:
    return Oet(stack.env, tmp_path, silent=SILENT, noisy=NOISY)


def test_the_progress_of_another_is_not_shown_as_that_of_a_silent_script(
    oet: Oet, client: OETClient, tmp_path: Path
) -> None:
    until = str(tmp_path / "told")
    silent = client.create(oet.uris["silent"], subarray_id=1)
    noisy = client.create(oet.uris["noisy"], subarray_id=2)
    for procedure in (silent, noisy):
        client.wait(procedure.id, {ProcedureState.READY}, timeout=DEADLINE)
    following = oet.start("procedure", "start", f"--pid={silent.id}", f"--until={until}")
    client.wait(silent.id, {ProcedureState.RUNNING}, timeout=DEADLINE)
    client.start(noisy.id, name=str(silent.id), until=until)
    output, errors = following.communicate(timeout=DEADLINE)
    assert (following.returncode, errors) == (0, "")
    assert "state COMPLETE" in output
    assert "of another" not in output
    assert " progress " not in output

    for number, msg_src in ((silent.id, {str(silent.id), "SESWorker", "OETController"}), (noisy.id, None)):
        done = oet("listen", "--since=0", f"--pid={number}", "--json", "--timeout=1")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        events = [item for item in told if item["kind"] == "Event"]
        assert {event["procedure_id"] for event in events} == {number}
        if msg_src is not None:
            assert {event["msg_src"] for event in events} == msg_src
