"""Observing scripts command the telescope with these classes: the CentralNode and the subarrays.

SKA_TELESCOPE names the telescope (skamid, the default, or skalow), CENTRALNODE_FQDN and
SUBARRAYNODE_FQDN_PREFIX name its devices. A prefix that contains `{` is a format,
for names whose last part has leading zeros: `mid-tmc/subarray/{:02d}`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import tango

from ska_oso_oet.errors import InvalidArgument, OetError, WaitTimeout
from ska_oso_oet.scripting.proxies import settle
from ska_oso_oet.scripting.requests import Attribute, Command
from ska_oso_oet.ska.control_model import ObsState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ska_oso_oet.scripting.events import Announcer
    from ska_oso_oet.scripting.executor import TangoExecutor

LOGGER = logging.getLogger(__name__)

SWITCHING_TIMEOUT = 120.0  # seconds, as are all times here
COMMAND_TIMEOUT = 60.0
ABORT_TIMEOUT = 10.0
STAND_DOWN_TIMEOUT = 1.5  # within the grace period that a stopped script has
PROGRESS_INTERVAL = 1.0

UNDER_WAY = frozenset(
    {
        ObsState.RESOURCING,
        ObsState.CONFIGURING,
        ObsState.SCANNING,
        ObsState.ABORTING,
        ObsState.RESETTING,
        ObsState.RESTARTING,
    }
)


class SubarrayFault(OetError):
    """A subarray came to another state than the one it was commanded to; the message is the subarray's."""

    code = "OET_SubarrayFault"


def telescope() -> Literal["mid", "low"]:
    """Return which telescope SKA_TELESCOPE names; raises InvalidArgument when it is neither."""
    name = os.environ.get("SKA_TELESCOPE", "skamid")
    match name.lower().replace("-", "").replace("_", ""):
        case "skamid" | "mid":
            return "mid"
        case "skalow" | "low":
            return "low"
    raise InvalidArgument(f"SKA_TELESCOPE is skamid or skalow, not {name!r}")


def central_node_name() -> str:
    """Return the name of the CentralNode."""
    return os.environ.get("CENTRALNODE_FQDN") or f"ska_{telescope()}/tm_central/central_node"


def subarray_name(subarray_id: int) -> str:
    """Return the name of a SubarrayNode."""
    prefix = os.environ.get("SUBARRAYNODE_FQDN_PREFIX") or f"ska_{telescope()}/tm_subarray_node"
    return prefix.format(subarray_id) if "{" in prefix else f"{prefix}/{subarray_id}"


class CentralNode:
    """Switches the telescope on and off."""

    def __init__(self, executor: TangoExecutor) -> None:
        """Name the device; nothing is sent to it yet."""
        self._executor = executor
        self.name = central_node_name()

    def switch(self, command: str, state: tango.DevState, timeout: float = SWITCHING_TIMEOUT) -> None:
        """Execute TelescopeOn, TelescopeOff or TelescopeStandby and wait for its `state`."""
        self._executor.execute(Command(self.name, command))
        attribute = Attribute(self.name, "telescopeState")
        self._executor.wait_for(attribute, lambda found: bool(found == state), timeout)

    def execute(self, command: str, argument: dict[str, Any]) -> None:
        """Send a command with a JSON argument; raises DevFailed."""
        self._executor.execute(Command(self.name, command, json.dumps(argument)))


class Subarray:
    """One subarray, each method of which waits for the end of what it commands.

    A subarray that ends elsewhere raises SubarrayFault, a command that it refuses DevFailed.
    """

    def __init__(self, subarray_id: int, executor: TangoExecutor, announcer: Announcer) -> None:
        """Name the device; nothing is sent to it yet."""
        self.subarray_id = subarray_id
        self.name = subarray_name(subarray_id)
        self._executor = executor
        self._central_node = CentralNode(executor)
        self._announcer = announcer
        self._obs_state = Attribute(self.name, "obsState")

    @property
    def state(self) -> ObsState:
        """The observing state, read from the device."""
        return ObsState(self._executor.read(self._obs_state))

    def execute(self, command: str, argument: dict[str, Any] | None = None) -> None:
        """Send a command, and do not wait for what it does; see expects()."""
        arguments = () if argument is None else (json.dumps(argument),)
        self._executor.execute(Command(self.name, command, *arguments))

    @contextmanager
    def expects(self, wanted: ObsState, timeout: float = COMMAND_TIMEOUT) -> Iterator[None]:
        """Wait, at the end of the block, for what the block has commanded to be done.

        Blocks of several subarrays may be nested, and their commands then run at the same time.
        """
        with self._executor.watch(self._obs_state) as changes:
            yield
            self._check(changes.wait_for(_at_rest, timeout), wanted)

    def assign(self, resources: dict[str, Any]) -> None:
        """Get resources, by AssignResources of the CentralNode: EMPTY or IDLE → IDLE."""
        with self.expects(ObsState.IDLE):
            self._central_node.execute("AssignResources", resources)
        self._announce("subarray.resources.allocated")

    def release(self) -> None:
        """Give all resources back: IDLE → EMPTY."""
        with self.expects(ObsState.EMPTY):
            argument = {"subarray_id": self.subarray_id, "release_all": True}
            self._central_node.execute("ReleaseResources", argument)
        self._announce("subarray.resources.deallocated")

    def configure(self, configuration: dict[str, Any]) -> None:
        """Prepare for scans: IDLE or READY → READY."""
        with self.expects(ObsState.READY):
            self.execute("Configure", configuration)
        self._announce("subarray.configured")

    def scan(self, scan_id: int, duration: float, progress: Callable[[float], None]) -> None:
        """Do a scan: READY → SCANNING → READY; `progress` is called with the part that is over, 0 to 1."""
        with self._executor.watch(self._obs_state) as changes:
            self.execute("Scan", {"scan_id": scan_id})
            self._announce("subarray.scan.started")
            begun = time.monotonic()
            while True:
                over = time.monotonic() - begun
                progress(min(1.0, over / duration))
                try:
                    # Wakes up between only to report progress.
                    state = changes.wait_for(_at_rest, PROGRESS_INTERVAL)
                    break
                except WaitTimeout:
                    if over > duration + COMMAND_TIMEOUT:
                        raise
            self._check(state, ObsState.READY)
        progress(1.0)
        self._announce("subarray.scan.finished")

    def end(self) -> None:
        """Undo the configuration: READY → IDLE."""
        with self.expects(ObsState.IDLE):
            self.execute("End")

    def abort(self, timeout: float = ABORT_TIMEOUT) -> None:
        """Stop what the subarray is doing: → ABORTED."""
        with self.expects(ObsState.ABORTED, timeout):
            self.execute("Abort")

    def restart(self) -> None:
        """Come back from ABORTED or FAULT: → EMPTY."""
        with self.expects(ObsState.EMPTY):
            self.execute("Restart")

    def stand_down(self) -> None:
        """Leave the subarray in a known state when its script ends early; raises nothing.

        A scan is ended and the configuration undone (IDLE); what cannot be undone is aborted (ABORTED);
        a fault stays for an operator to see.
        """
        settle(STAND_DOWN_TIMEOUT)  # a command that the stop interrupted may still be on its way
        try:
            state = self.state
            if state in {ObsState.CONFIGURING, ObsState.RESOURCING}:
                self.abort(STAND_DOWN_TIMEOUT)
            if state == ObsState.SCANNING:
                with self.expects(ObsState.READY, STAND_DOWN_TIMEOUT):
                    self.execute("EndScan")
            if state in {ObsState.SCANNING, ObsState.READY}:
                with self.expects(ObsState.IDLE, STAND_DOWN_TIMEOUT):
                    self.execute("End")
        except (tango.DevFailed, OetError):
            LOGGER.exception("subarray %d could not be brought to rest", self.subarray_id)

    def _check(self, state: int, wanted: ObsState) -> None:
        if state == wanted:
            return
        reason = self._reason(ObsState(state))
        self._announcer.send("subarray.fault", subarray_id=self.subarray_id, error=reason)
        raise SubarrayFault(f"{self.name} came to {ObsState(state).name}, not {wanted.name}: {reason}")

    def _reason(self, state: ObsState) -> str:
        if state != ObsState.FAULT:
            return "somebody else commanded it"
        try:
            return str(self._executor.read(Attribute(self.name, "faultMessage")))
        except tango.DevFailed:
            return str(self._executor.execute(Command(self.name, "Status")))

    def _announce(self, topic: str) -> None:
        self._announcer.send(topic, subarray_id=self.subarray_id)


def _at_rest(state: int) -> bool:
    return state not in UNDER_WAY
