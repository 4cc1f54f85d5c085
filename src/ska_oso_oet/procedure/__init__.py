"""Procedures: loaded scripts, the processes that run them and their supervision."""
