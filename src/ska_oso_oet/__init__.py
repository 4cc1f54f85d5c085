"""SKA Observation Execution Tool: observing scripts on demand, as Tango devices."""

__version__ = "0.1.0"
