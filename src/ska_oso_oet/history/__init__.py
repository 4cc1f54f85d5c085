"""Durable history of procedures and activities."""
