"""LongRunningCommandExecutor sends long running commands (LRC) to SKA devices and waits for their end.

An SKA device returns `[[STARTED or QUEUED], [command id]]` for such a command at once, and reports on it by
change events: protocol 2 by `_lrcEvent` (`[id, JSON with status, progress, result]`), protocol 1 by the
attributes longRunningCommandStatus, longRunningCommandProgress and longRunningCommandResult. The result is
by convention `[ResultCode, text]`.
"""

from __future__ import annotations

import json
import queue
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import tango

from ska_oso_oet.errors import OetError, Rejected, WaitTimeout
from ska_oso_oet.scripting.proxies import begin, call, settle
from ska_oso_oet.scripting.requests import Attribute
from ska_oso_oet.scripting.watch import QuietWait, TimeLimit
from ska_oso_oet.ska.control_model import ResultCode, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ska_oso_oet.scripting.requests import Command
    from ska_oso_oet.scripting.subscriptions import SubscriptionManager

UNFINISHED = frozenset({TaskStatus.STAGING, TaskStatus.QUEUED, TaskStatus.IN_PROGRESS})
V2_ATTRIBUTES = ("_lrcEvent",)
V1_ATTRIBUTES = ("longRunningCommandResult", "longRunningCommandProgress", "longRunningCommandStatus")
# Seconds that a stopped script waits for each reply of the device; less than a stop's grace period.
ABORT_TIMEOUT = 0.9


@dataclass(frozen=True)
class LongRunningCommand:
    """What is known of a command."""

    command_id: str
    status: TaskStatus = TaskStatus.STAGING
    progress: int | None = None
    result: Any = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status not in UNFINISHED

    @property
    def succeeded(self) -> bool:
        """Whether it did what it was asked to: COMPLETED, and its result, if it has a code, is OK."""
        match self.result:
            case [int() as code, str()]:
                return self.status == TaskStatus.COMPLETED and code == ResultCode.OK
        return self.status == TaskStatus.COMPLETED


class CommandFailed(OetError):
    """A long running command ended without success; the message is the device's."""

    code: ClassVar[str] = "OET_CommandFailed"

    def __init__(self, command: Command, outcome: LongRunningCommand) -> None:
        self.outcome = outcome
        text = outcome.result
        match outcome.result:
            case [_, str() as text]:
                pass
        super().__init__(f"{command} ended {outcome.status.name}: {text}")


class LongRunningCommandExecutor:
    """Runs one command of one device to its end."""

    def __init__(
        self, command: Command, proxy: Any, manager: SubscriptionManager, *, use_lrc_event: bool = True
    ) -> None:
        """Prepare to run `command` on `proxy`; without `use_lrc_event` only protocol 1 is used."""
        self._command = command
        self._proxy = proxy
        self._manager = manager
        self._use_lrc_event = use_lrc_event
        self._events: queue.SimpleQueue[tango.EventData] = queue.SimpleQueue()
        self._patience = QuietWait()

    def notify(self, evt: tango.EventData) -> None:
        """Receive an event from the SubscriptionManager."""
        self._events.put(evt)

    def run(self, timeout: float | None, on_progress: Callable[[int], None] | None) -> LongRunningCommand:
        """Send the command and follow it; see TangoExecutor.execute_lrc."""
        attributes = [Attribute(self._command.device, name) for name in self._attributes()]
        asked = False
        try:
            for attribute in attributes:
                self._manager.register_observer(attribute, self)
            self._events = queue.SimpleQueue()  # what the subscriptions brought is of earlier commands
            asked = True
            return self._follow(TimeLimit(timeout), on_progress or _ignore)
        except (OetError, tango.DevFailed):
            raise
        except BaseException:
            if asked:
                self._abort()
            raise
        finally:
            for attribute in attributes:
                self._manager.unregister_observer(attribute, self)

    def _attributes(self) -> tuple[str, ...]:
        """Choose the protocol: the newest that both sides have."""
        known = call(self._proxy.get_attribute_list)
        newest = 1
        if "lrcProtocolVersions" in known:
            newest = int(call(self._proxy.read_attribute, "lrcProtocolVersions").value[1])
        return V2_ATTRIBUTES if newest > 1 and self._use_lrc_event else V1_ATTRIBUTES

    def _follow(self, deadline: TimeLimit, on_progress: Callable[[int], None]) -> LongRunningCommand:
        command = self._command
        answer = call(self._proxy.command_inout, command.command_name, *command.argument, **command.kwargs)
        known = self._accepted(answer)
        while not known.ended:
            progress = known.progress
            known = self._after_next_event(known, deadline)
            if known.progress is not None and known.progress != progress:
                on_progress(known.progress)
        if not known.succeeded:
            raise CommandFailed(command, known)
        return known

    def _accepted(self, answer: Any) -> LongRunningCommand:
        [[code], [text]] = answer
        if code in (ResultCode.STARTED, ResultCode.QUEUED):
            return LongRunningCommand(text)
        raise Rejected(f"{self._command}: {ResultCode(code).name}: {text}")

    def _after_next_event(self, known: LongRunningCommand, deadline: TimeLimit) -> LongRunningCommand:
        try:
            event = self._patience.get(self._events, deadline)
        except queue.Empty:
            known = self._looked_up(known)
            if known.ended or deadline.left() != 0:
                return known
            raise WaitTimeout(
                f"{self._command} has not ended within {deadline.timeout:g} s: it is {known.status.name}, "
                f"progress {known.progress}, command id {known.command_id}"
            ) from None
        if event.err or not event.attr_value.value or not event.attr_value.value[0]:
            return self._looked_up(known)
        return apply_event(known, event.attr_value.name.lower(), list(event.attr_value.value))

    def _looked_up(self, known: LongRunningCommand) -> LongRunningCommand:
        """Ask the device, where an error, an empty value or a long silence may mean that an event was missed.

        A device that was restarted has forgotten its commands; they will never end.
        """
        try:
            status = call(self._proxy.command_inout, "CheckLongRunningCommandStatus", known.command_id)
        except tango.DevFailed:
            return known
        if status == "NOT_FOUND":
            lost = [ResultCode.UNKNOWN, "the device does not know this command any more: was it restarted?"]
            return replace(known, status=TaskStatus.NOT_FOUND, result=lost)
        known = replace(known, status=TaskStatus[status])
        return self._with_result(known) if known.ended else known

    def _with_result(self, known: LongRunningCommand) -> LongRunningCommand:
        """Read the result from the list of finished commands; protocol 1 has only that of the newest."""
        records = {record["uid"]: record for record in map(json.loads, self._read("lrcFinished"))}
        if known.command_id in records:
            return replace(known, result=records[known.command_id].get("result"))
        return apply_event(known, "longrunningcommandresult", list(self._read("longRunningCommandResult")))

    def _read(self, attribute: str) -> Sequence[str]:
        """Read strings; none from a device that lacks the attribute."""
        try:
            return call(self._proxy.read_attribute, attribute).value or ()
        except tango.DevFailed:
            return ()

    def _abort(self) -> None:
        """Stop the command on the device, once it has received it, as its script is being stopped."""
        settle(ABORT_TIMEOUT)
        try:
            stopped = begin(self._proxy.command_inout, "Abort")
            stopped.result(timeout=ABORT_TIMEOUT)
        except (tango.DevFailed, TimeoutError):
            return  # the script ends in any case; what stopped it is what it reports


def apply_event(known: LongRunningCommand, attribute: str, value: list[str]) -> LongRunningCommand:
    """Apply the value of an event of `attribute` (lower case); one about other commands changes nothing."""
    pairs = dict(zip(value[::2], value[1::2], strict=False))
    if (text := pairs.get(known.command_id)) is None:
        return known
    match attribute:
        case "_lrcevent":
            update = json.loads(text)
            status = TaskStatus(update["status"]) if "status" in update else known.status
            progress = update.get("progress", known.progress)
            return replace(known, status=status, progress=progress, result=update.get("result", known.result))
        case "longrunningcommandstatus":
            return replace(known, status=TaskStatus[text])
        case "longrunningcommandprogress":
            return replace(known, progress=int(text))
        case "longrunningcommandresult":
            return replace(known, result=json.loads(text) if text else None)
    return known


def _ignore(_progress: int) -> None:
    """Ignore progress."""
