"""The events of the controller have a bus, a journal that numbers and keeps them, and topics."""
