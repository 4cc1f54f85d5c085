# ruff: noqa: N802 - Tango spellings
# mypy: disallow-untyped-decorators=False, disallow-subclassing-any=False
"""SubarrayNode is the simulated device of a subarray, with its obsState."""

from __future__ import annotations

from typing import Any

from tango.server import attribute, command

from ska_oso_oet.errors import Rejected
from ska_oso_oet.simulators.observing import (
    ASSIGNMENTS,
    CONFIGURATIONS,
    ScanRequest,
    Transition,
    transition,
)
from ska_oso_oet.simulators.simulated_device import Answer, SimulatedDevice, done, parsed, refuse, started
from ska_oso_oet.ska.control_model import HealthState, ObsState

NOT_CONFIGURED = {"scanID": 0, "configuration": ""}
AS_NEW = {**NOT_CONFIGURED, "assignedResources": [], "faultMessage": "", "healthState": HealthState.OK}


class SubarrayNode(SimulatedDevice):
    """A subarray that goes through the observing states as a real one does, in time."""

    def init_device(self) -> None:
        """Be EMPTY."""
        super().init_device()
        self.values.update(AS_NEW, obsState=ObsState.EMPTY)
        self._scan_duration = 0.0
        self.offer()

    @attribute(dtype=ObsState, doc="The observing state")
    def obsState(self) -> ObsState:
        """Return what the subarray is doing."""
        state: ObsState = self.values["obsState"]
        return state

    @attribute(dtype=int, doc="ID of the scan that is under way, else 0")
    def scanID(self) -> int:
        """Which scan is under way."""
        return int(self.values["scanID"])

    @attribute(dtype=(str,), max_dim_x=1024, doc="Dishes or stations of this subarray")
    def assignedResources(self) -> list[str]:
        """Return what is assigned to the subarray."""
        return list(self.values["assignedResources"])

    @attribute(dtype=str, doc="JSON of the newest Configure, empty when not configured")
    def configuration(self) -> str:
        """How the subarray is configured."""
        return str(self.values["configuration"])

    @attribute(dtype=str, doc="Why obsState is FAULT, else empty")
    def faultMessage(self) -> str:
        """Return what went wrong."""
        return str(self.values["faultMessage"])

    @command(dtype_in=str, doc_in="JSON of the resources", dtype_out="DevVarLongStringArray")
    def AssignResources(self, argin: str) -> Answer:
        """Take resources, beside those the subarray has."""
        allowed = self._allowed("AssignResources")
        given = parsed(ASSIGNMENTS[self.Telescope], argin).resources
        resources = list(dict.fromkeys([*self.values["assignedResources"], *given]))
        return self._begin("AssignResources", allowed, assignedResources=resources)

    @command(dtype_out="DevVarLongStringArray")
    def ReleaseAllResources(self) -> Answer:
        """Give all resources back."""
        return self._begin("ReleaseAllResources", self._allowed("ReleaseAllResources"), **AS_NEW)

    @command(dtype_in=str, doc_in="JSON of the configuration", dtype_out="DevVarLongStringArray")
    def Configure(self, argin: str) -> Answer:
        """Prepare for scans."""
        allowed = self._allowed("Configure")
        wanted = parsed(CONFIGURATIONS[self.Telescope], argin)
        answer = self._begin("Configure", allowed, configuration=wanted.to_json())
        self._scan_duration = wanted.tmc.scan_duration
        return answer

    @command(dtype_in=str, doc_in='JSON {"scan_id": number}', dtype_out="DevVarLongStringArray")
    def Scan(self, argin: str) -> Answer:
        """Observe for as long as was configured."""
        allowed = self._allowed("Scan")
        scan_id = parsed(ScanRequest, argin).scan_id
        answer = self._begin("Scan", allowed, scanID=0)
        self.put(scanID=scan_id)
        return answer

    @command(dtype_out="DevVarLongStringArray")
    def EndScan(self) -> Answer:
        """End the scan before its time."""
        return self._begin("EndScan", self._allowed("EndScan"), scanID=0)

    @command(dtype_out="DevVarLongStringArray")
    def End(self) -> Answer:
        """Undo the configuration."""
        return self._begin("End", self._allowed("End"), **NOT_CONFIGURED)

    @command(dtype_out="DevVarLongStringArray")
    def Abort(self) -> Answer:
        """Stop what the subarray is doing, whatever it is."""
        return self._begin("Abort", self._allowed("Abort"), **NOT_CONFIGURED)

    @command(dtype_out="DevVarLongStringArray")
    def Restart(self) -> Answer:
        """Come back from ABORTED or FAULT, without resources."""
        return self._begin("Restart", self._allowed("Restart"), **AS_NEW)

    def _allowed(self, name: str) -> Transition:
        try:
            return transition(name, self.values["obsState"])
        except Rejected as error:
            refuse("API_CommandNotAllowed", f"{self.get_name()}: {error}")

    def _begin(self, name: str, wanted: Transition, **outcome: Any) -> Answer:
        """Begin the transition of a command; its end brings the values of `outcome`, or an injected fault."""
        fault = self.next_fault(name)
        end: dict[str, Any] = {**outcome, "obsState": wanted.after}
        if fault is not None:
            failed = {
                "faultMessage": fault.message,
                "healthState": HealthState.FAILED,
                "obsState": ObsState.FAULT,
            }
            end = {**NOT_CONFIGURED, **failed}
        self.cancel()
        if wanted.during is not None:
            self.put(obsState=wanted.during)
        if fault is not None and fault.effect == "hang":
            return started(f"{name} started")
        if wanted.during is None:
            self.put(**end)
            return done(f"{name} done")
        seconds = self._scan_duration if name == "Scan" else wanted.seconds
        self.after(seconds, lambda: self.put(**end))
        return started(f"{name} started")
