"""The Tango devices."""
