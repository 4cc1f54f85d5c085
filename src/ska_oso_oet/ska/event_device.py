"""EventDevice pushes events to the subscribers of a device, and has its State and Status for Tango."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tango
from tango import DevState
from tango.server import Device

from ska_oso_oet.ska.device_attributes import DeviceAttributes

if TYPE_CHECKING:
    from ska_oso_oet.ska.subscribers import Subscribers

__all__ = ["EventDevice"]


class EventDevice(DeviceAttributes, Device):
    """A Tango device, all events of which leave through its pump."""

    subscribers: Subscribers
    """Who gets the events; one that reads none of them is cut off."""

    def declare_events(self, *names: str, repeats: bool = False) -> None:
        """Let these attributes push change and archive events; with `repeats`, of unchanged values too."""
        for name in names:
            # Tango is never asked to compare: EventPump.push_changes_only has the reason.
            self.set_change_event(name, True, False)
            self.set_archive_event(name, True, False)
            if not repeats:
                self.pump.push_changes_only(name)

    def push_event(self, name: str, value: object) -> None:
        """Push what subscribers of an attribute have asked for; on the pump's thread, with no lock held."""
        # Both events or none, so that a push that is tried again does not repeat one of them.
        with tango.AutoTangoMonitor(self):
            # Tango pushes the State and Status that it has, not the value of the call. They are only
            # changed under the monitor: here, and before each reading.
            if name == "State":
                self.set_state(value)
            elif name == "Status":
                self.set_status(value)
            attribute = self.get_device_attr().get_attr_by_name(name)
            # Each push releases the interpreter and has to get it back, which costs far more than the push.
            change = attribute.is_event_subscribed(
                tango.EventType.CHANGE_EVENT
            ) or attribute.is_event_subscribed(tango.EventType.ALARM_EVENT)
            if change:
                self.push_change_event(name, value)
            archive = attribute.is_event_subscribed(tango.EventType.ARCHIVE_EVENT)
            if archive:
                self.push_archive_event(name, value)
        for _ in range(change + archive):
            self.subscribers.pushed(value)

    def show_state(self, state: str, status: str) -> None:
        """Push State and Status, and let the device follow; as the model reports them."""
        self.pump.put("State", DevState.names[state])
        self.pump.put("Status", status)
        self.pump.call(self.follow_state)

    def show_value(self, attribute: str, value: object) -> None:
        """Push an attribute of the model, and let the device follow adminMode."""
        self.pump.put(attribute, value)
        if attribute == "adminMode":
            self.pump.call(self.follow_state)

    def get_state(self) -> DevState:
        """Return the state as it is now, alarms left out; any thread may ask."""
        return DevState.names[self.model.state]

    def dev_state(self) -> DevState:
        """Return the state as it is now; Tango makes ALARM of ON if an attribute is beyond its limits."""
        self.set_state(self.get_state())
        return super().dev_state()

    def dev_status(self) -> str:
        """Return the status as it is now; Tango adds the attributes that are beyond their limits."""
        self.set_status(self.model.status)
        return str(super().dev_status())
