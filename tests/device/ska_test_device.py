# ruff: noqa: N802 - Tango spellings
"""A small SKA device for the tests of the base class."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from tango.server import command, device_property

from ska_oso_oet.ska.base_device import LongStringArray, SKABaseDevice
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus

if TYPE_CHECKING:
    from ska_oso_oet.ska.long_running_commands import RunningCommand


class SkaTestDevice(SKABaseDevice):
    """Its commands run on threads of their own."""

    FailInit = device_property(dtype=bool, default_value=False)

    def create_component(self) -> None:
        if self.FailInit:
            raise ValueError("the property FailInit is true")
        self._release = threading.Event()
        self._threads: list[threading.Thread] = []

    def delete_component(self) -> None:
        if self.FailInit:
            return
        self._release.set()
        for thread in self._threads:
            thread.join()

    def _run(self, running: RunningCommand) -> None:
        running.in_progress()
        running.progress(50)
        running.finish(TaskStatus.COMPLETED, (ResultCode.OK, "quick"))

    def _hold(self, running: RunningCommand) -> None:
        running.in_progress()
        running.progress(50)
        self._release.wait()
        if running.abort_requested:
            running.finish(TaskStatus.ABORTED, (ResultCode.ABORTED, "stopped"))
        running.finish(TaskStatus.COMPLETED, (ResultCode.OK, "released"))

    def _start(self, target: str, running: RunningCommand) -> None:
        thread = threading.Thread(target=getattr(self, target), args=(running,))
        self._threads.append(thread)
        thread.start()

    @command(dtype_out="DevVarLongStringArray")
    def Quick(self) -> LongStringArray:
        return self.long_running("Quick", partial(self._start, "_run"))

    @command(dtype_out="DevVarLongStringArray")
    def Hold(self) -> LongStringArray:
        self._release.clear()
        return self.long_running("Hold", partial(self._start, "_hold"), on_abort=self._release.set)

    @command
    def Release(self) -> None:
        self._release.set()

    @command(dtype_out="DevVarLongStringArray")
    def Buggy(self) -> LongStringArray:
        def work(running: RunningCommand) -> None:
            raise ZeroDivisionError("a bug")

        return self.long_running("Buggy", work)

    @command(dtype_in=float)
    def Block(self, seconds: float) -> None:
        """Do what no command should: tell something, then take long."""
        self.pump.put("testMode", 1)
        time.sleep(seconds)

    @command(dtype_in=str)
    def Fault(self, message: str) -> None:
        self.report_fault(json.loads(message))

    @command(dtype_out=(str,))
    def Threads(self) -> list[str]:
        return [thread.name for thread in threading.enumerate()]
