"""Stores of Scheduling Blocks behind one protocol."""
