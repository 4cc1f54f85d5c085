"""The floor: a Tango device that does nothing but push an event or answer a command."""

from __future__ import annotations

import threading
import time

import tango
from tango.server import Device, attribute, command


class BareDevice(Device):
    def init_device(self) -> None:
        super().init_device()
        self.set_change_event("text", True, False)

    text = attribute(dtype=str, fget="read_text")

    def read_text(self) -> str:
        return ""

    @command(dtype_in=str)
    def Push(self, text: str) -> None:
        self.push_change_event("text", text)

    @command(dtype_in=[int])
    def Stream(self, how: list[int]) -> None:
        """Push `how[0]` events of `how[1]` characters, 100 a second, each with its moment."""
        count, size = how

        def push() -> None:
            with tango.EnsureOmniThread():
                for _ in range(count):
                    time.sleep(0.01)
                    self.push_change_event("text", f"{time.time()} ".ljust(size, "x"))

        threading.Thread(target=push).start()

    @command(dtype_in=str, dtype_out=str)
    def Echo(self, text: str) -> str:
        return text


if __name__ == "__main__":
    BareDevice.run_server()
