"""execute_lrc with a device on the base class of this project's own devices."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tango

from ska_oso_oet.features import Features
from ska_oso_oet.ska.control_model import TaskStatus
from ska_oso_oet.tango import Attribute, Command, CommandFailed, TangoExecutor

if TYPE_CHECKING:
    from tests.device.conftest import DeviceServers

DEVICE = Path(__file__).with_name("ska_test_device.py"), "SkaTestDevice", {"adminMode/__value": 0}


@pytest.fixture
def device(device_server: DeviceServers) -> tango.DeviceProxy:
    return device_server(*DEVICE)


@pytest.fixture(params=["true", "false"], ids=["protocol 2", "protocol 1"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TangoExecutor:
    monkeypatch.setenv("OET_LRC_VIA_EVENT", request.param)
    return TangoExecutor(features=Features.create_from_config_files())


def name(device: tango.DeviceProxy) -> str:
    return f"tango://{device.get_dev_host()}:{device.get_dev_port()}/{device.dev_name()}#dbase=no"


def test_a_command_runs_to_its_end(executor: TangoExecutor, device: tango.DeviceProxy) -> None:
    outcome = executor.execute_lrc(Command(name(device), "Quick"), timeout=60)
    assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, [0, "quick"])


def test_progress_is_heard(executor: TangoExecutor, device: tango.DeviceProxy) -> None:
    """The command ends when its progress has been heard: one that ends before leaves none in protocol 1."""
    progress: list[int] = []

    def heard(percent: int) -> None:
        progress.append(percent)
        device.Release()

    outcome = executor.execute_lrc(Command(name(device), "Hold"), timeout=60, on_progress=heard)
    assert (outcome.status, progress) == (TaskStatus.COMPLETED, [50])


def test_a_bug_of_the_device_is_an_error(executor: TangoExecutor, device: tango.DeviceProxy) -> None:
    with pytest.raises(CommandFailed, match="a bug"):
        executor.execute_lrc(Command(name(device), "Buggy"), timeout=60)


class Stopped(BaseException):
    pass


def test_what_a_signal_interrupts_is_aborted(executor: TangoExecutor, device: tango.DeviceProxy) -> None:
    def stop(*_args: object) -> None:
        raise Stopped

    def signal_when_running() -> None:
        with tango.EnsureOmniThread():
            while not device.lrcExecuting:
                time.sleep(0.05)  # the test must not disturb the events that are tested
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    watcher = threading.Thread(target=signal_when_running)
    watcher.start()
    try:
        with pytest.raises(Stopped):
            executor.execute_lrc(Command(name(device), "Hold"))
    finally:
        watcher.join(60)
        signal.signal(signal.SIGUSR1, before)
    held = executor.wait_for(Attribute(name(device), "lrcFinished"), lambda finished: len(finished) > 0, 60)
    assert {"name": "Hold", "status": "ABORTED"}.items() <= json.loads(held[0]).items()
