"""The SKA device contract is implemented in this package."""
