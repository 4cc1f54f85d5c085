"""`up()` with stand-in servers: starting, stopping, dying and refusing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests import cgroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.stack_process import StackProcess

    Start = Callable[..., StackProcess]

DEVICE = "test/weather/1"

# What the stand-in does depends on the name of its instance.
STAND_IN = """\
    #!{python}
    import os, signal, sys
    instance = sys.argv[1]
    if instance == "broken":
        sys.exit("no sensor")
    if instance == "silent":
        signal.pause()
    if instance == "fickle":
        print("Ready to accept request", flush=True)
        sys.exit(3)
    if instance == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("Ready to accept request", flush=True)
        while True:
            signal.pause()
    if instance == "slow":
        import time
        def end(*_):
            print("Stopping, which may take 50 s", flush=True)
            time.sleep(2)
            print("cleaned up", flush=True)
            os._exit(0)
        signal.signal(signal.SIGTERM, end)
        print("Ready to accept request", flush=True)
        while True:
            signal.pause()

    from tango.server import Device, command, device_property, run

    class Weather(Device):
        Place = device_property(dtype=str, default_value="nowhere")

        @command(dtype_out=str)
        def Where(self):
            return self.Place

        @command
        def Complain(self):
            print("2026-01-01 ERROR the mast is down", file=sys.stderr)

    run([Weather], args=["StandIn", *sys.argv[1:]])
"""

DRIVER = """\
    import sys
    from pathlib import Path
    from ska_oso_oet.embedded import StackLimits, Parts, Server, up

    port, data_dir, instances, files, limits = sys.argv[1:]
    sys.exit(
        up(
            int(port),
            Path(data_dir),
            Parts(
                [Server("StandIn", instance) for instance in instances.split()],
                [Path(file) for file in files.split()],
            ),
            eval(limits),
        )
    )
"""

CLIENT = "import tango; print(tango.DeviceProxy({device!r}).{call})"


@pytest.fixture
def run_up(tmp_path: Path, start_stack: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "StandIn").write_text(textwrap.dedent(STAND_IN).format(python=sys.executable))
    (programs / "StandIn").chmod(0o755)
    (tmp_path / "driver.py").write_text(textwrap.dedent(DRIVER))
    devices = {"servers": {"StandIn": {"01": {"Weather": {DEVICE: {"properties": {"Place": ["Karoo"]}}}}}}}
    (tmp_path / "weather.json").write_text(json.dumps(devices))
    monkeypatch.setenv("PATH", str(programs), prepend=":")

    def begin(
        instances: str = "01", port: int = 0, data_dir: Path | None = None, files: str = "", limits: str = ""
    ) -> StackProcess:
        directory = data_dir or tmp_path / "data"
        given = [str(port), str(directory), instances, files or str(tmp_path / "weather.json")]
        driver = [sys.executable, str(tmp_path / "driver.py")]
        return start_stack([*driver, *given, f"StackLimits({limits})"], directory)

    return begin


def ask(stack: StackProcess, call: str = "Where()", device: str = DEVICE) -> str:
    client = [sys.executable, "-c", CLIENT.format(device=device, call=call)]
    done = subprocess.run(client, env=stack.env, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() or done.stderr


def test_ready_means_that_the_registered_devices_answer(run_up: Start) -> None:
    stack = run_up()
    stack.wait_ready()
    assert ask(stack) == "Karoo"
    assert stack.stop() == 0
    assert stack.rest_of_stdout() == ""


def test_nothing_listens_to_other_machines(run_up: Start) -> None:
    stack = run_up()
    stack.wait_ready()
    listening = [
        socket_.laddr.ip
        for process in stack.processes()
        for socket_ in process.net_connections("inet")
        if socket_.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert set(listening) == {"127.0.0.1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it(run_up: Start, number: signal.Signals) -> None:
    stack = run_up()
    stack.wait_ready()
    assert len(stack.processes()) == 2
    assert stack.stop(number) == 0
    assert stack.processes() == []


def test_kill_9_leaves_no_process_behind(run_up: Start) -> None:
    stack = run_up("01 stubborn")
    stack.wait_ready()
    assert len(stack.processes()) == 3
    stack.stop(signal.SIGKILL)
    assert stack.wait_all_gone() == []


def test_a_server_that_ignores_sigterm_is_killed(run_up: Start) -> None:
    stack = run_up("stubborn", limits="stop=0.5")
    stack.wait_ready()
    assert stack.stop() == 0
    assert stack.processes() == []
    assert "StandIn/stubborn did not stop within 0.5 s and is killed" in stack.stderr


def test_a_server_has_the_time_that_it_says_it_needs(run_up: Start) -> None:
    stack = run_up("slow", limits="stop=0.5")
    stack.wait_ready()
    assert stack.stop() == 0
    log = (stack.data_dir / "logs" / "StandIn-slow.log").read_text()
    assert "cleaned up" in log
    assert "waiting for StandIn/slow, at most 50 s" in stack.stderr


def test_told_twice_it_ends_at_once(run_up: Start) -> None:
    stack = run_up("stubborn slow", limits="stop=600")
    stack.wait_ready()
    stack.process.send_signal(signal.SIGINT)
    stack.wait_until(lambda: "waiting for StandIn/slow" in stack.stderr, "what it waits for")
    assert stack.stop(signal.SIGINT) == 0
    assert stack.processes() == []


def test_what_does_not_end_is_named(run_up: Start) -> None:
    with cgroups.freezer() as group:
        stack = run_up("stubborn", limits="stop=0.5")
        stack.wait_ready()
        frozen = stack.named("stubborn")
        cgroups.freeze(group, frozen.pid)
        assert stack.stop() == 1
        assert f"these processes were killed and are still there: {frozen.pid} (" in stack.stderr
        cgroups.thaw(group)
        frozen.wait(60)


def test_a_stop_while_starting(run_up: Start) -> None:
    stack = run_up("silent")
    stack.wait_until(
        lambda: any("silent" in p.cmdline() for p in stack.processes()), "the start of the server"
    )
    assert stack.stop() == 0
    assert stack.processes() == []
    assert stack.rest_of_stdout() == ""


@pytest.mark.parametrize("part", ["StandIn", "tango.databaseds"])
def test_what_dies_is_started_again_at_the_same_place(run_up: Start, part: str) -> None:
    stack = run_up()
    stack.wait_ready()
    first = stack.named(part)
    first.kill()
    stack.wait_until(lambda: ask(stack) == "Karoo" and not first.is_running(), f"the return of {part}")
    assert stack.named(part).pid != first.pid
    assert "was ended by SIGKILL" in stack.stderr
    assert "(restart 1 of 5)" in stack.stderr
    assert stack.stop() == 0


def test_a_server_that_keeps_dying_ends_the_stack(run_up: Start) -> None:
    stack = run_up("fickle", limits="pauses=(0.01, 0.02)")
    assert stack.wait_exit() == 1
    assert "gave up after 2 restarts" in stack.stderr
    assert "StandIn/fickle ended with exit code 3" in stack.stderr
    assert stack.processes() == []


def test_a_program_that_vanishes_ends_the_stack(run_up: Start, tmp_path: Path) -> None:
    stack = run_up(limits="pauses=(0.01, 0.02)")
    stack.wait_ready()
    (tmp_path / "programs" / "StandIn").unlink()
    stack.named("StandIn").kill()
    assert stack.wait_exit() == 1
    assert "gave up after 2 restarts" in stack.stderr
    assert "No such file or directory" in stack.stderr
    assert stack.processes() == []


def test_a_server_that_does_not_start_is_named_with_its_reason(run_up: Start) -> None:
    stack = run_up("01 broken")
    assert stack.wait_exit() == 1
    assert "oet up: StandIn/broken ended with exit code 1" in stack.stderr
    assert "    no sensor" in stack.stderr
    assert stack.rest_of_stdout() == ""
    assert stack.processes() == []


def test_a_server_that_never_answers_is_named(run_up: Start) -> None:
    stack = run_up("01 silent", limits="start=8")
    assert stack.wait_exit() == 1
    assert "oet up: not ready within 8 s: StandIn/silent (log " in stack.stderr
    assert "StandIn/01" not in stack.stderr
    assert "--timeout lets it take longer" in stack.stderr
    assert stack.processes() == []
    assert (stack.data_dir / "logs" / "StandIn-silent.log").exists()


def test_a_start_that_takes_its_time_says_what_it_waits_for(run_up: Start) -> None:
    stack = run_up("01 silent")
    told = " s of 180; it waits for StandIn/silent (log "
    stack.wait_until(lambda: told in stack.stderr, "a word of the start's progress")
    assert stack.stop() == 0


def test_a_program_that_is_not_installed_is_named(run_up: Start, tmp_path: Path) -> None:
    (tmp_path / "programs" / "StandIn").unlink()
    stack = run_up()
    assert stack.wait_exit() == 1
    assert stack.stderr == "oet up: StandIn/01: the program StandIn is not installed\n"


def test_a_port_in_use(run_up: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stack = run_up(port=port)
        assert stack.wait_exit() == 1
    assert f"oet up: port {port} cannot be used: Address already in use" in stack.stderr


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist(run_up: Start, port: int) -> None:
    stack = run_up(port=port)
    assert stack.wait_exit() == 1
    assert stack.stderr.startswith(f"oet up: port {port} cannot be used: ")


def test_a_directory_that_cannot_be_written(run_up: Start) -> None:
    stack = run_up(data_dir=Path("/proc/oet"))
    assert stack.wait_exit() == 1
    assert stack.stderr.startswith("oet up: data directory /proc/oet cannot be used: ")


def test_a_log_that_cannot_be_written(run_up: Start, tmp_path: Path) -> None:
    obstacle = tmp_path / "data" / "logs" / "database.log"
    obstacle.mkdir(parents=True)
    stack = run_up()
    assert stack.wait_exit() == 1
    assert stack.stderr == f"oet up: [Errno 21] Is a directory: '{obstacle}'\n"


def test_two_stacks_do_not_share_a_directory(run_up: Start) -> None:
    first = run_up()
    first.wait_ready()
    second = run_up()
    assert second.wait_exit() == 1
    assert f"is in use by another stack (process {first.process.pid})" in second.stderr
    assert ask(first) == "Karoo"


def test_a_device_file_that_is_no_json(run_up: Start, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    stack = run_up(files=str(tmp_path / "bad.json"))
    assert stack.wait_exit() == 1
    assert f"oet up: the devices of {tmp_path}/bad.json cannot be registered" in stack.stderr
    assert stack.processes() == []


def test_what_an_operator_changes_survives_a_restart(run_up: Start) -> None:
    stack = run_up()
    stack.wait_ready()
    ask(stack, "put_property({'Place': 'Murchison'})")
    assert stack.stop() == 0
    again = run_up()
    again.wait_ready()
    assert ask(again) == "Murchison"


def test_errors_of_a_server_are_shown_and_logged(run_up: Start) -> None:
    stack = run_up()
    stack.wait_ready()
    ask(stack, "Complain()")
    stack.wait_until(
        lambda: "StandIn/01: 2026-01-01 ERROR the mast is down" in stack.stderr, "the error's display"
    )
    assert "ERROR the mast is down" in (stack.data_dir / "logs" / "StandIn-01.log").read_text()
