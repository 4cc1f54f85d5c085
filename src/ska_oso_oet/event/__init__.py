"""The events of the controller: the bus, the journal that numbers and keeps them, and their topics."""
