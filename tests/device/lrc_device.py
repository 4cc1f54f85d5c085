# ruff: noqa: N802 - Tango spellings
"""A device server for tests: an attribute with change events, and long running commands told in advance.

Run as `lrc_device.py LrcDevice test -nodb ...`; the last part of a device's name is its newest LRC protocol.
"""

from __future__ import annotations

import enum
import json
import threading
import time
from typing import Any

import tango
from tango.server import Device, attribute, command, run


class Gear(enum.IntEnum):
    NEUTRAL = 0
    FIRST = 1


class LrcDevice(Device):
    """Work takes a JSON list of updates, which it sends as events before it returns."""

    received = 0  # commands, of all devices of the server

    def init_device(self) -> None:
        super().init_device()
        self._number = 0
        self._value = 0
        self._protocol = int(self.get_name().split("/")[-1])
        self._beats = 0
        self._readings = 0
        self._status: dict[str, str] = {}
        self._result = ["", ""]
        self._finished: list[str] = []
        self._aborts = 0
        for name in ("value", "beats", "_lrcEvent", "longRunningCommandStatus"):
            self.set_change_event(name, True, False)
        for name in ("longRunningCommandProgress", "longRunningCommandResult"):
            self.set_change_event(name, True, False)

    @attribute(dtype=int)
    def value(self) -> int:
        self._readings += 1
        return self._value

    @attribute(dtype=int)
    def readings(self) -> int:
        return self._readings

    @attribute(dtype=int)
    def beats(self) -> int:
        return self._beats

    @attribute(dtype=Gear)
    def gear(self) -> Gear:
        return Gear.FIRST

    @attribute(dtype=(Gear,), max_dim_x=2)
    def gears(self) -> list[Gear]:
        return [Gear.FIRST, Gear.NEUTRAL]

    @attribute(dtype=int)
    def silent(self) -> int:
        return self._value

    @attribute(dtype=(int,), max_dim_x=2)
    def lrcProtocolVersions(self) -> list[int]:
        return [1, self._protocol]

    @attribute(dtype=(str,), max_dim_x=2)
    def _lrcEvent(self) -> list[str]:
        return []

    @attribute(dtype=(str,), max_dim_x=100)
    def lrcFinished(self) -> list[str]:
        return self._finished

    @attribute(dtype=(str,), max_dim_x=100)
    def longRunningCommandStatus(self) -> list[str]:
        return [text for pair in self._status.items() for text in pair]

    @attribute(dtype=(str,), max_dim_x=4)
    def longRunningCommandProgress(self) -> list[str]:
        return []

    @attribute(dtype=(str,), max_dim_x=2)
    def longRunningCommandResult(self) -> list[str]:
        return self._result

    @attribute(dtype=int)
    def aborts(self) -> int:
        return self._aborts

    @attribute(dtype=int)
    def commands(self) -> int:
        return LrcDevice.received

    @command(dtype_in=(int,))
    def Push(self, values: list[int]) -> None:
        for value in values:
            self._value = int(value)
            self.push_change_event("value", self._value)

    @command(dtype_out=int)
    def Beat(self) -> int:
        self._beats += 1
        self.push_change_event("beats", self._beats)
        return self._beats

    @command(dtype_in=int)
    def PushLater(self, value: int) -> None:
        """Change the value some time after the command has returned."""

        def change() -> None:
            with tango.EnsureOmniThread(), tango.AutoTangoMonitor(self):
                self._value = value
                self.push_change_event("value", value)

        threading.Timer(0.3, change).start()

    @command(dtype_in=int)
    def SetQuietly(self, value: int) -> None:
        """Change the value without an event."""
        self._value = value

    @command(dtype_in=float)
    def Sleep(self, seconds: float) -> None:
        LrcDevice.received += 1
        time.sleep(seconds)

    @command(dtype_in=str, dtype_out=str)
    def Echo(self, text: str) -> str:
        return text

    @command(dtype_in=(float,), dtype_out=float)
    def Sum(self, values: list[float]) -> float:
        return float(sum(values))

    @command
    def Fail(self) -> None:
        tango.Except.throw_exception("TEST_Broken", "the gears are jammed", "Fail")

    @command(dtype_in=str, dtype_out="DevVarLongStringArray")
    def Work(self, updates: str) -> Any:
        LrcDevice.received += 1
        if updates == "reject":
            return [[5], ["too busy"]]
        self._number += 1
        command_id = f"1795167427.5_{self._number}_Work"
        self._update("another_1_Work", {"status": 5, "result": [3, "not yours"]})
        for update in [{"status": 0}, {"status": 2}, *json.loads(updates)]:
            self._update(command_id, update)
        return [[1], [command_id]]

    @command(dtype_in=str)
    def Update(self, update: str) -> None:
        """Tell more of the newest command."""
        self._update(f"1795167427.5_{self._number}_Work", json.loads(update))

    @command
    def FinishSilently(self) -> None:
        """End the newest command; let an event that says nothing be the only sign of it."""
        command_id = f"1795167427.5_{self._number}_Work"
        self._status[command_id] = "COMPLETED"
        self._keep(command_id, [0, "found"])
        self.push_change_event("_lrcEvent", [])

    @command
    def Forget(self) -> None:
        """Be as after a restart."""
        self._status.clear()
        self.push_change_event("_lrcEvent", [])

    @command(dtype_out="DevVarLongStringArray")
    def Abort(self) -> Any:
        self._aborts += 1
        return [[1], ["1795167427.6_1_Abort"]]

    @command(dtype_in=str, dtype_out=str)
    def CheckLongRunningCommandStatus(self, command_id: str) -> str:
        return self._status.get(command_id, "NOT_FOUND")

    def _update(self, command_id: str, update: dict[str, Any]) -> None:
        names = (
            "STAGING",
            "QUEUED",
            "IN_PROGRESS",
            "ABORTED",
            "NOT_FOUND",
            "COMPLETED",
            "REJECTED",
            "FAILED",
        )
        if "status" in update:
            self._status[command_id] = names[update["status"]]
        if "result" in update:
            self._keep(command_id, update["result"])
        if self._protocol > 1:
            self.push_change_event("_lrcEvent", [command_id, json.dumps(update)])
            return
        if "result" in update:
            self.push_change_event("longRunningCommandResult", self._result)
        if "progress" in update:
            self.push_change_event("longRunningCommandProgress", [command_id, str(update["progress"])])
        if "status" in update:
            pairs = [text for pair in self._status.items() for text in pair]
            self.push_change_event("longRunningCommandStatus", pairs)

    def _keep(self, command_id: str, result: Any) -> None:
        """Keep a result where it can be read, for each protocol in a place of its own."""
        if self._protocol > 1:
            record = {"uid": command_id, "status": self._status[command_id], "result": result}
            self._finished.append(json.dumps(record))
        else:
            self._result = [command_id, json.dumps(result)]


if __name__ == "__main__":
    run((LrcDevice,))
