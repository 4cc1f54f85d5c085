# ruff: noqa: N802 - Tango spellings
# mypy: disallow-untyped-decorators=False, disallow-subclassing-any=False
"""CentralNode is the simulated device that assigns the receptors of a telescope to its subarrays."""

from __future__ import annotations

import tango
from tango import DevState
from tango.server import attribute, command, device_property

from ska_oso_oet.simulators.observing import ASSIGNMENTS, Release
from ska_oso_oet.simulators.simulated_device import Answer, SimulatedDevice, done, parsed, refuse, started

SWITCHING_SECONDS = 2.0


class CentralNode(SimulatedDevice):
    """Switches the telescope and assigns resources to the subarrays, which it commands over Tango."""

    SubarrayPrefix = device_property(
        dtype=str,
        mandatory=True,
        doc="names of the subarrays without the last part, ska_mid/tm_subarray_node",
    )
    SubarrayCount = device_property(dtype=int, default_value=4, doc="how many subarrays there are")

    def init_device(self) -> None:
        """Be OFF."""
        super().init_device()
        self.values.update(telescopeState=DevState.OFF)
        self.offer()

    @attribute(dtype=DevState, doc="OFF, STANDBY or ON; UNKNOWN while it is being switched")
    def telescopeState(self) -> DevState:
        """Whether the telescope is switched on."""
        return self.values["telescopeState"]

    @command(dtype_out="DevVarLongStringArray")
    def TelescopeOn(self) -> Answer:
        """Switch the telescope on."""
        return self._switch("TelescopeOn", DevState.ON)

    @command(dtype_out="DevVarLongStringArray")
    def TelescopeOff(self) -> Answer:
        """Switch the telescope off."""
        return self._switch("TelescopeOff", DevState.OFF)

    @command(dtype_out="DevVarLongStringArray")
    def TelescopeStandby(self) -> Answer:
        """Switch the telescope to low power."""
        return self._switch("TelescopeStandby", DevState.STANDBY)

    @command(dtype_in=str, doc_in="JSON of the subarray and its resources", dtype_out="DevVarLongStringArray")
    def AssignResources(self, argin: str) -> Answer:
        """Give resources, which no other subarray may have, to a subarray."""
        if self.values["telescopeState"] != DevState.ON:
            state = self.values["telescopeState"]
            refuse("API_CommandNotAllowed", f"AssignResources: the telescope is {state}, not ON")
        assignment = parsed(ASSIGNMENTS[self.Telescope], argin)
        subarray = self._subarray(assignment.subarray_id)
        self.next_fault("AssignResources")
        self._refuse_taken(assignment.subarray_id, set(assignment.resources))
        [[code], [text]] = subarray.command_inout("AssignResources", argin)
        return [int(code)], [text]

    @command(dtype_in=str, doc_in='JSON {"subarray_id"}', dtype_out="DevVarLongStringArray")
    def ReleaseResources(self, argin: str) -> Answer:
        """Take all resources from a subarray."""
        release = parsed(Release, argin)
        subarray = self._subarray(release.subarray_id)
        self.next_fault("ReleaseResources")
        [[code], [text]] = subarray.command_inout("ReleaseAllResources")
        return [int(code)], [text]

    def _switch(self, name: str, state: DevState) -> Answer:
        fault = self.next_fault(name)
        if self.values["telescopeState"] == state:
            return done(f"the telescope is already {state}")
        self.put(telescopeState=DevState.UNKNOWN)
        if fault is None:
            self.after(SWITCHING_SECONDS, lambda: self.put(telescopeState=state))
        return started(f"{name} started")

    def _subarray(self, subarray_id: int) -> tango.DeviceProxy:
        if subarray_id > self.SubarrayCount:
            refuse("OET_InvalidArgument", f"subarray_id: there are {self.SubarrayCount}, not {subarray_id}")
        return tango.DeviceProxy(f"{self.SubarrayPrefix}/{subarray_id}")

    def _refuse_taken(self, subarray_id: int, wanted: set[str]) -> None:
        for other in range(1, self.SubarrayCount + 1):
            if other == subarray_id:
                continue
            if taken := wanted & set(self._subarray(other).assignedResources or ()):
                names = ", ".join(sorted(taken))
                refuse("API_CommandNotAllowed", f"AssignResources: subarray {other} has {names}")
