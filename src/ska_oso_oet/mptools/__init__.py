"""Supervised child processes that talk through pipes."""
