# ruff: noqa: N802 - Tango spellings
# mypy: disallow-untyped-decorators=False, disallow-subclassing-any=False
"""A simulated device does what its commands ask for, and pushes events of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import tango
from tango.server import Device, attribute, command, device_property

from ska_oso_oet.errors import InvalidArgument
from ska_oso_oet.models import Model
from ska_oso_oet.simulators.observing import Fault
from ska_oso_oet.ska.control_model import HealthState, ResultCode

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M", bound=Model)
Answer = tuple[list[int], list[str]]


class SimulatedDevice(Device):
    """A device with one change under way at most.

    What changes it later runs under the device's Tango monitor, as commands do: nothing runs beside a
    command, so there is no other lock, and clients see events in the order of the changes.
    """

    TimeScale = device_property(
        dtype=float, default_value=1.0, doc="how much faster (below 1) or slower than real everything goes"
    )
    Telescope = device_property(dtype=str, default_value="mid", doc="mid or low")

    def init_device(self) -> None:
        """Be on, with nothing under way."""
        super().init_device()
        self._faults: list[Fault] = []
        self._timer: threading.Timer | None = None
        self.values: dict[str, Any] = {"healthState": HealthState.OK}
        self.set_state(tango.DevState.ON)
        if self.Telescope not in {"mid", "low"}:
            raise InvalidArgument(f"property Telescope is mid or low, not {self.Telescope!r}")

    def delete_device(self) -> None:
        """Drop what is under way."""
        self.cancel()
        super().delete_device()

    @attribute(dtype=HealthState, doc="FAILED while the device is in a fault")
    def healthState(self) -> HealthState:
        """Whether the device can do its work."""
        health: HealthState = self.values["healthState"]
        return health

    def offer(self) -> None:
        """Let clients subscribe to the values, and push the initial values to those that have."""
        for name, value in self.values.items():
            self.set_change_event(name, True, False)
            self.set_archive_event(name, True, False)
            self.push_change_event(name, value)
            self.push_archive_event(name, value)

    def put(self, **values: Any) -> None:
        """Change values of attributes, then push events of those that differ, in the same order."""
        changed = {name: value for name, value in values.items() if value != self.values[name]}
        self.values.update(changed)
        for name, value in changed.items():
            self.push_change_event(name, value)
            self.push_archive_event(name, value)

    @command(
        dtype_in=str, doc_in='JSON {"command", "message", "effect": "error" | "fault" | "hang", "count"}'
    )
    def InjectFault(self, argin: str) -> None:
        """Let the next calls of a command fail."""
        fault = parsed(Fault, argin)
        if fault.command not in self.get_command_names():
            refuse("OET_InvalidArgument", f"InjectFault: there is no command {fault.command!r}")
        self._faults.append(fault)

    @command
    def ClearFaults(self) -> None:
        """Forget the faults that were injected and have not shown yet."""
        self._faults.clear()

    def get_command_names(self) -> set[str]:
        """Return the names of the commands of this device."""
        return set(self.get_device_class().cmd_list)

    def next_fault(self, name: str) -> Fault | None:
        """Raise an injected error of the command `name`, or return an injected fault of another effect."""
        for index, fault in enumerate(self._faults):
            if fault.command == name:
                left = fault.count - 1
                again = [fault.model_copy(update={"count": left})] if left else []
                self._faults[index : index + 1] = again
                if fault.effect == "error":
                    refuse("SIM_InjectedFault", fault.message)
                return fault
        return None

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in `seconds`, scaled by TimeScale, in the place of what was to run later."""
        self.cancel()
        timer = threading.Timer(seconds * self.TimeScale, lambda: self._fire(timer, action))
        timer.daemon = True
        self._timer = timer
        timer.start()

    def cancel(self) -> None:
        """Let what was to run later not run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, timer: threading.Timer, action: Callable[[], None]) -> None:
        with tango.EnsureOmniThread(), tango.AutoTangoMonitor(self):
            if self._timer is timer:
                self._timer = None
                action()


def parsed(model: type[M], argin: str) -> M:
    """Read a JSON argument; raises DevFailed, naming each wrong key."""
    try:
        return model.parse(argin)
    except InvalidArgument as error:
        refuse(error.code, str(error))


def refuse(reason: str, text: str) -> NoReturn:
    """Raise DevFailed."""
    tango.Except.throw_exception(reason, text, "TelescopeSimulator")
    raise AssertionError("throw_exception returned")


def started(text: str) -> Answer:
    """Return that a change is under way."""
    return [ResultCode.STARTED], [text]


def done(text: str) -> Answer:
    """Return that a change has been made."""
    return [ResultCode.OK], [text]
