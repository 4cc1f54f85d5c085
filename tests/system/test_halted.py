"""A controller or a database that is halted: whoever asks with a bound is answered in time, and told."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.client import DEFAULT_DEVICE, OETClient
from ska_oso_oet.client.http import HttpClient
from ska_oso_oet.errors import ControllerUnreachable, WaitTimeout
from tests.system.oet_program import Oet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.stack_process import StackProcess

# Tango and HTTP would give up later, and in other words.
IN_TIME = "no answer within 0.5 s"


@pytest.mark.parametrize("part", ["OETController", "tango.databaseds"])
def test_a_bound_holds_at_every_door(own_stack: StackProcess, tmp_path: Path, part: str) -> None:
    oet = Oet(own_stack.env, tmp_path, good="def main(): pass\n")
    halted = own_stack.named(part)
    halted.send_signal(signal.SIGSTOP)
    try:
        for arguments in (
            ["procedure", "list"],
            ["listen"],
            ["procedure", "run", oet.uris["good"]],
            ["procedure", "stop", "--pid=1"],
            ["activity", "list"],
        ):
            done = oet("--timeout=0.5", *arguments)
            assert (done.returncode, done.stdout) == (6, ""), arguments
            assert IN_TIME in done.stderr
        with OETClient(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}") as client:
            for ask in (
                lambda: client.wait(1, timeout=0.5),
                lambda: client.stop(1, timeout=0.5),
                lambda: client.run(oet.uris["good"], timeout=0.5),
                lambda: client.wait_activity(1, timeout=0.5),
                lambda: client.prune_history(keep=1, timeout=0.5),
                client.until(0.5).list,
            ):
                with pytest.raises(ControllerUnreachable, match=IN_TIME):
                    ask()
    finally:
        halted.send_signal(signal.SIGCONT)


def test_a_bound_holds_over_http(own_stack: StackProcess, tmp_path: Path) -> None:
    oet = Oet(own_stack.env, tmp_path, good="def main(): pass\n").over_http(own_stack.rest_url)
    halted = own_stack.named("OETController")
    halted.send_signal(signal.SIGSTOP)
    try:
        for arguments in (["procedure", "list"], ["procedure", "run", oet.uris["good"]]):
            done = oet("--timeout=0.5", *arguments)
            assert (done.returncode, done.stdout) == (6, "")
            assert IN_TIME in done.stderr
        with HttpClient(own_stack.rest_url) as client:
            with pytest.raises(ControllerUnreachable, match=IN_TIME):
                client.run(oet.uris["good"], timeout=0.5)
            with pytest.raises(WaitTimeout):
                client.stop(1, timeout=0.5)
    finally:
        halted.send_signal(signal.SIGCONT)
