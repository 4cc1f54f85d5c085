"""The Tango devices of the OET are in this package."""
