"""The SKA device contract."""
