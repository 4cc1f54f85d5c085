"""Texts are escaped here so that Tango can carry them."""

from __future__ import annotations


def tango_text(text: str) -> str:
    """Write a text in the characters of a Tango string, which is latin-1 and ends at a NUL."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1").replace("\0", "\\0")
