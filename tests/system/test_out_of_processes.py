"""Nothing more can be started: new clients can still stop what has used it all up."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import psutil

from ska_oso_oet.resources import program
from tests import cgroups
from tests.system.oet_program import Oet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.system.stack_process import StackProcess

BOMB = """
import subprocess

def main():
    children = []
    while True:
        try:
            children.append(subprocess.Popen(["sleep", "600"]))
        except OSError:
            pass
"""
OTHERS = 8
"""Clients that are connected and keep a thread each."""


def test_new_clients_can_stop_a_script_that_has_used_up_all_processes(
    start_stack: Callable[..., StackProcess], tmp_path: Path
) -> None:
    with cgroups.cgroup("pids") as group:
        data_dir = tmp_path / "data"
        stack = start_stack([program("oet"), "up", "--port", "0", "--data-dir", str(data_dir)], data_dir)
        stack.wait_ready()
        oet = Oet(stack.env, tmp_path, bomb=BOMB)
        listening = stack.named("OETController").net_connections("inet")
        addresses = [each.laddr for each in listening if each.status == psutil.CONN_LISTEN]
        for pid in (stack.process.pid, *(process.pid for process in stack.processes())):
            (group / "cgroup.procs").write_text(str(pid))
        (group / "pids.max").write_text(str(count(group) + 40))
        with ExitStack() as connected:
            connected.callback(stack.close)  # before the group is removed
            for address in addresses * OTHERS:
                connected.enter_context(closing(socket.create_connection(address)))
            for client, procedure in ((oet.over_http(stack.rest_url), "1"), (oet, "2")):
                assert oet("procedure", "run", oet.uris["bomb"], "--listen=False").returncode == 0
                stack.wait_until(lambda: count(group) >= limit(group), "the end of all processes")
                stopped = client("procedure", "stop", "--pid", procedure, "--run_abort=false")
                assert stopped.returncode == 0, stopped.stderr
                stack.wait_until(lambda: count(group) < limit(group), "the end of the script's processes")
            assert stack.stop() == 0


def count(group: Path) -> int:
    return int((group / "pids.current").read_text())


def limit(group: Path) -> int:
    return int((group / "pids.max").read_text())
