"""DeviceHooks has what a device of ours overrides, and what it calls to report on its component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ska_oso_oet.errors import NotFound, Rejected
from ska_oso_oet.ska.control_model import CommunicationStatus, HealthState, PowerState, ResultCode, TaskStatus

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from ska_oso_oet.ska.device_model import DeviceModel
    from ska_oso_oet.ska.event_pump import EventPump
    from ska_oso_oet.ska.long_running_commands import LongRunningCommands, RunningCommand

__all__ = ["DeviceHooks", "LongStringArray"]

LongStringArray = tuple[list[int], list[str]]
"""What a long running command answers: `[[ResultCode], [command id or reason]]`."""


class DeviceHooks:
    """The seam between an SKA device and its component.

    A device derives from SKABaseDevice and overrides what it needs::

        class Greeter(SKABaseDevice):
            def create_component(self): self.greetings = Greetings(self.pump.put)
            def delete_component(self): self.greetings.close()

            @command(dtype_in=str, dtype_out="DevVarLongStringArray")
            def Greet(self, name):
                return self.long_running("Greet", lambda command: self.greetings.greet(name, command))

            is_Greet_allowed = allowed_when("Greet")  # asks self.command_allowed("Greet")
    """

    pump: EventPump
    """Where events go: `self.pump.put(attribute, value)`."""
    lrc: LongRunningCommands
    """The long running commands."""
    logger: logging.Logger
    """Where the device logs."""
    model: DeviceModel
    """Mode, state and health; for reading."""

    # ------------------------------------------------------------ to be overridden

    def start_reporting(self) -> None:
        """Make what reports on the device also when its initialisation fails; `pump` and `model` are there.

        It comes before `create_component`, and before the properties are read.
        """

    def stop_reporting(self) -> None:
        """End what `start_reporting` has made; it comes after `delete_component`."""

    def create_component(self) -> None:
        """Make what the device works with; properties, `pump` and `lrc` are there.

        It holds the monitor of the device, so it takes no more than a moment. If it raises, the device
        is in FAULT and its Status shows the reason; `delete_component` is called then as well.
        """

    def delete_component(self) -> None:
        """End every thread, process and connection that the component owns; called once for each creation.

        It holds the monitor of the device, so no request is being carried out. Requests may come between
        this and the next `create_component`, and find no component. Long running commands that are
        still live when it returns end ABORTED.
        """

    def start_communicating(self) -> None:
        """Begin to use the component: adminMode has become ONLINE or ENGINEERING.

        It returns at once and reports ESTABLISHED, now or later, from any thread. The state is UNKNOWN
        until then. If it raises, the device is in FAULT.
        """
        self.report_communication(CommunicationStatus.ESTABLISHED)

    def stop_communicating(self) -> None:
        """Leave the component alone: adminMode has become OFFLINE, or the device goes away."""

    def switch_power(self, power: PowerState, command: RunningCommand) -> None:
        """Carry out On, Off or Standby: return at once, report the power and finish `command` when done."""
        command.in_progress()
        self.report_power(power)
        command.finish(TaskStatus.COMPLETED, (ResultCode.OK, f"The device is {power.name}"))

    def reset(self, command: RunningCommand) -> None:
        """Carry out Reset: return at once, cure what can be cured and finish `command` when done."""
        command.in_progress()
        self.clear_fault()
        command.finish(TaskStatus.COMPLETED, (ResultCode.OK, "Reset completed OK"))

    def follow_state(self) -> None:
        """React to a change of State or adminMode, which `model` has; called after it was pushed.

        It is called on the pump's thread with no lock held, and returns at once.
        """

    # ------------------------------------------------------------ to be called, from any thread

    def report_communication(self, status: CommunicationStatus) -> None:
        """Report whether the component can be reached; ESTABLISHED is ON. Ignored when OFFLINE."""
        self.model.report_communication(status)

    def report_power(self, power: PowerState) -> None:
        """Report what power the component has. Ignored when OFFLINE."""
        self.model.report_power(power)

    def report_fault(self, message: str) -> None:
        """Report that the component cannot work: the state is FAULT, Status carries `message`."""
        self.model.report_fault(message)

    def clear_fault(self) -> None:
        """Report that the component can work again."""
        self.model.clear_fault()

    def set_health(self, health: HealthState) -> None:
        """Report whether the device can do its work."""
        self.model.set_health(health)

    def long_running(
        self,
        name: str,
        work: Callable[[RunningCommand], None],
        *,
        on_abort: Callable[[], None] | None = None,
        commanded: str | None = None,
        urgent: bool = False,
    ) -> LongStringArray:
        """Begin the long running command `name`, let `work` start it; return what the Tango command does.

        `work` returns at once and sees to it that the command is finished, now or later. If it raises
        Rejected or NotFound the command is REJECTED with that text; any other exception is a bug: the
        command has FAILED with the text, and the log has the stack trace. `on_abort` asks the work to
        stop; it returns at once. A command that stops something is `urgent`: a full device accepts it too.
        """
        try:
            running = self.lrc.begin(name, on_abort=on_abort, commanded=commanded, urgent=urgent)
        except Rejected as error:
            return [ResultCode.REJECTED], [str(error)]
        try:
            work(running)
        except (Rejected, NotFound) as error:
            running.finish(TaskStatus.REJECTED, (ResultCode.REJECTED, str(error)))
            return [ResultCode.REJECTED], [str(error)]
        except Exception as error:
            self.logger.exception("%s failed", running.command_id)
            text = f"Unhandled exception during execution: {error}"
            running.finish(TaskStatus.FAILED, (ResultCode.FAILED, text))
        return [ResultCode.STARTED], [running.command_id]
